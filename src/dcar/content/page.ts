import { createHash } from 'node:crypto';
import type { PublishedApplication } from '../repository.ts';
import { type ContentReply, type ContentRequest, listed, matchesTag } from './request.ts';

const STYLE = `
:root{color-scheme:light dark;--ink:#16202c;--soft:#5b6878;--card:#fff;--back:#eef2f6;--line:#dbe3ea;--accent:#0a6c74}
@media(prefers-color-scheme:dark){:root{--ink:#e8eef4;--soft:#98a6b5;--card:#1a232d;--back:#10161d;--line:#2a3744;--accent:#4fc3c9}}
*{box-sizing:border-box}
body{margin:0;padding:2rem 1rem;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:40rem;margin:0 auto}
h1{margin:0;font-size:1.4rem;letter-spacing:-.01em}
.lead{margin:.25rem 0 1.5rem;color:var(--soft)}
ul{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}
a{display:flex;gap:1rem;align-items:center;padding:1rem;border:1px solid var(--line);border-radius:1rem;background:var(--card);color:inherit;text-decoration:none}
a:hover,a:focus-visible{border-color:var(--accent);outline:none}
img,.mark{flex:none;width:3rem;height:3rem;border-radius:.75rem}
.mark{display:grid;place-items:center;background:var(--accent);color:#fff;font-weight:600;font-size:1.3rem}
.name{display:block;font-weight:600}
.about{display:block;color:var(--soft);font-size:.9rem}
.version{margin-left:auto;color:var(--soft);font-variant-numeric:tabular-nums;font-size:.85rem}
.none{padding:2rem;border:1px dashed var(--line);border-radius:1rem;color:var(--soft);text-align:center}`;

/** Nothing may load or run but this style sheet (by its hash) and icons in the page itself. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; img-src data:`;

/** `GET /` of a browser-like UE: the list as a page that stands on its own. */
export function page(request: ContentRequest): ContentReply {
  const body = Buffer.from(html(listed(request), request.grant.network));
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 16)}"`;
  const headers = { etag, 'cache-control': 'private, no-cache', 'content-security-policy': POLICY };
  if (matchesTag(request.header('if-none-match'), etag)) return { status: 304, headers, body: Buffer.alloc(0) };
  return { status: 200, headers: { ...headers, 'content-type': 'text/html; charset=utf-8' }, body };
}

function html(applications: readonly PublishedApplication[], network: 'own' | 'remote'): string {
  const lead = network === 'own' ? 'Applications you can use in this call.' : 'Applications the other side offers you.';
  const list =
    applications.length === 0
      ? '<p class="none">There is no application for you yet.</p>'
      : `<ul>${applications.map(item).join('')}</ul>`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Applications</title><style>${STYLE}</style></head><body><main><h1>Applications</h1><p class="lead">${lead}</p>${list}</main></body></html>`;
}

/** Links are relative: the UE sees this page at `/`, the MF under the replacement URL. */
function item({ applicationId, name, description, icon, version, phase }: PublishedApplication): string {
  const picture = icon
    ? `<img src="${escaped(icon)}" alt="">`
    : `<span class="mark" aria-hidden="true">${escaped([...name][0] ?? '')}</span>`;
  const about = description || (phase === 'PRECALL' ? 'Before the call is answered' : 'During the call');
  return `<li><a href="applications?appid=${encodeURIComponent(applicationId)}">${picture}<span><span class="name">${escaped(name)}</span><span class="about">${escaped(about)}</span></span><span class="version">${escaped(version)}</span></a></li>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
