import type { TraceArrow, TraceEvent, TraceNote } from './trace.ts';

const LANE_WIDTH = 230;
const LEFT = 150;
const TOP = 70;
const ROW = 34;

/**
 * The call as one self-contained page: an SVG ladder beside the message that was clicked. No script library, no
 * network: it opens from the file system and can be mailed around.
 */
export function renderHtml(title: string, lanes: readonly string[], events: readonly TraceEvent[]): string {
  const height = TOP + events.length * ROW + 20;
  const width = LEFT + lanes.length * LANE_WIDTH - LANE_WIDTH / 2 + 40;
  const rows = events.map((event, index) => eventSvg(lanes, event, index)).join('\n');
  const details = events.map((event) => (event.kind === 'arrow' ? (event.detail ?? '') : ''));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><header><h1>${escapeHtml(title)}</h1><p>Click an arrow to read its message; ↑ and ↓ step through.</p></header>
<main><div class="ladder"><svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"
 aria-label="${escapeHtml(title)}"><defs>
<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>
${lanes.map((lane, index) => laneSvg(lane, index, height)).join('\n')}
${rows}
</svg></div><pre id="detail" tabindex="0">No message chosen.</pre></main>
<script>const details=${embed(details)};${SCRIPT}</script></body></html>
`;
}

const laneX = (lane: number): number => LEFT + lane * LANE_WIDTH;
const rowY = (index: number): number => TOP + index * ROW;

function laneSvg(name: string, lane: number, height: number): string {
  const x = laneX(lane);
  return `<line class="lane" x1="${x}" y1="44" x2="${x}" y2="${height}"/><text class="name" x="${x}" y="30">${escapeHtml(name)}</text>`;
}

function eventSvg(lanes: readonly string[], event: TraceEvent, index: number): string {
  const y = rowY(index);
  const time = `<text class="time" x="70" y="${y + 4}">${(event.atMs / 1000).toFixed(3)} s</text>`;
  switch (event.kind) {
    case 'step':
      return `<g class="step">${time}<line x1="80" x2="${laneX(lanes.length - 1) + 100}" y1="${y}" y2="${y}"/><text x="92" y="${y - 6}">${escapeHtml(event.text)}</text></g>`;
    case 'note':
      return `<g>${time}${noteSvg(lanes, event, y)}</g>`;
    case 'arrow':
      return arrowSvg(lanes, event, index, y, time);
    default:
      return event satisfies never;
  }
}

function arrowSvg(lanes: readonly string[], arrow: TraceArrow, index: number, y: number, time: string): string {
  const from = laneX(lanes.indexOf(arrow.from));
  const to = laneX(lanes.indexOf(arrow.to));
  const label = arrow.summary ? `${arrow.label} · ${arrow.summary}` : arrow.label;
  return `<g class="arrow ${arrow.protocol.replace(' ', '-')}${arrow.detail ? ' has-detail' : ''}" data-index="${index}">${time}
<line x1="${from}" y1="${y}" x2="${to}" y2="${y}" marker-end="url(#head)"/><text x="${(from + to) / 2}" y="${y - 6}">${escapeHtml(label)}</text><rect x="0" y="${y - 20}" width="100%" height="${ROW - 4}"/></g>`;
}

function noteSvg(lanes: readonly string[], note: TraceNote, y: number): string {
  const columns = note.lanes.map((lane) => laneX(lanes.indexOf(lane)));
  const left = Math.min(...columns);
  const right = Math.max(...columns);
  const width = Math.max(right - left, note.text.length * 6.4 + 16);
  const x = (left + right) / 2 - width / 2;
  return `<rect class="note" x="${x}" y="${y - 14}" width="${width}" height="22" rx="4"/><text class="note-text" x="${x + width / 2}" y="${y + 1}">${escapeHtml(note.text)}</text>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}

/** JSON inside a script element: nothing in a message may end the element. */
function embed(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
}

const STYLE = `
:root{color-scheme:light dark;--line:#8a93a0;--ink:#1c2733;--paper:#fff;--panel:#f3f5f8;--sip:#1764c0;--dc:#0c8a5f;--rtp:#9a5b00}
@media(prefers-color-scheme:dark){:root{--line:#5c6673;--ink:#e4e9ef;--paper:#12171d;--panel:#1b222b;--sip:#6db3ff;--dc:#4cd0a0;--rtp:#f0b45c}}
*{box-sizing:border-box}body{margin:0;font:14px system-ui,sans-serif;color:var(--ink);background:var(--paper)}
header{padding:12px 20px 0}h1{font-size:18px;margin:0}p{margin:4px 0 10px;opacity:.75}
main{display:flex;height:calc(100vh - 66px)}.ladder{overflow:auto;flex:1 1 70%}
pre{flex:1 1 30%;margin:0;padding:16px;overflow:auto;background:var(--panel);font:12px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
svg{display:block;width:100%;min-width:800px;max-width:1300px;height:auto}svg text{fill:currentColor;font-size:12px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}.lane{stroke:var(--line);stroke-dasharray:3 4}
.name{text-anchor:middle;font-weight:600;font-size:14px!important}.time{text-anchor:end;font-size:11px!important;opacity:.6}
.arrow line{stroke:var(--sip);stroke-width:1.6}.arrow text:not(.time){text-anchor:middle}.arrow rect{fill:transparent}
.arrow.data-channel line{stroke:var(--dc)}.arrow.rtp line{stroke:var(--rtp)}.arrow.has-detail{cursor:pointer}
.arrow.has-detail:hover rect,.arrow.chosen rect{fill:currentColor;fill-opacity:.07}
.step line{stroke:var(--line)}.step text:not(.time){font-weight:600}
.note{fill:var(--panel);stroke:var(--dc)}.note-text{text-anchor:middle;font-size:11px!important}`;

const SCRIPT = `
const shown=[...document.querySelectorAll('.has-detail')],pane=document.getElementById('detail');let at=-1;
function choose(i){if(i<0||i>=shown.length)return;if(shown[at])shown[at].classList.remove('chosen');at=i;
shown[at].classList.add('chosen');pane.textContent=details[shown[at].dataset.index];shown[at].scrollIntoView({block:'nearest'})}
shown.forEach((g,i)=>g.addEventListener('click',()=>choose(i)));
addEventListener('keydown',e=>{if(e.key==='ArrowDown'||e.key==='ArrowUp'){e.preventDefault();choose(at+(e.key==='ArrowDown'?1:-1))}});`;
