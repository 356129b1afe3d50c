import { isAttribute, isField } from './lines.ts';
import type { MediaSection, SdpLines, SessionDescription } from './types.ts';

/** Line edits. Each gives a new value; lines that are not named stay the same strings. */

/** Order of line types in a section (RFC 8866 9); a new line goes before the first of a later type. */
const SECTION_ORDER = 'micbka';
const SESSION_ORDER = 'vosiuepcbtrzka';

export function withSessionLines(sdp: SessionDescription, session: SdpLines): SessionDescription {
  return { ...sdp, session };
}

/** Same m= line but for the port (and without a port count). */
export function withPort(section: MediaSection, port: number): MediaSection {
  const [first = ''] = section.lines;
  const [, head = first, tail = ''] = /^(m=\s*\S+\s+)\S+(.*)$/s.exec(first) ?? [];
  const { media, protocol, formats } = section;
  return { lines: section.lines.with(0, head + port + tail), media, port, protocol, formats };
}

/** Sets the media-level c= line. `address` is an IPv4 or IPv6 literal. */
export function withConnection(section: MediaSection, address: string): MediaSection {
  return withLines(section, setField(section.lines, 'c', connectionText(address), SECTION_ORDER));
}

/** The same but for its lines, of which the m= line says what it said. */
export function withLines({ media, port, protocol, formats }: MediaSection, lines: SdpLines): MediaSection {
  return { lines, media, port, protocol, formats };
}

/** 'IN IP4 192.0.2.1', for c= and o=. */
export function connectionText(address: string): string {
  return `IN ${address.includes(':') ? 'IP6' : 'IP4'} ${address}`;
}

/** Replaces the first line of `type`, or inserts it where its type belongs. */
export function setField(lines: SdpLines, type: string, text: string, order = SESSION_ORDER): SdpLines {
  const line = `${type}=${text}`;
  const at = lines.findIndex((l) => isField(l, type));
  if (at !== -1) return lines.with(at, line);
  const rank = order.indexOf(type);
  const before = lines.findIndex((l) => order.indexOf(l.charAt(0)) > rank);
  return before === -1 ? [...lines, line] : lines.toSpliced(before, 0, line);
}

/**
 * Gives `a=<name>` exactly these values: the first old line's place is kept, further old ones go, new ones follow at
 * that place or else at the end. A value of '' makes a flag. No values: removes the attribute.
 */
export function setAttribute(lines: SdpLines, name: string, ...values: readonly string[]): SdpLines {
  const at = lines.findIndex((l) => isAttribute(l, name));
  const kept = removeAttributes(lines, name);
  const added = values.map((value) => (value === '' ? `a=${name}` : `a=${name}:${value}`));
  return at === -1 ? [...kept, ...added] : kept.toSpliced(at, 0, ...added);
}

export function removeAttributes(lines: SdpLines, ...names: readonly string[]): SdpLines {
  return lines.filter((line) => !names.some((name) => isAttribute(line, name)));
}

/**
 * The refusal of a section (RFC 3264 6): its m= line with port 0 and nothing else, but for `a=mid`, by which some
 * peers match sections (RFC 5888 9.1).
 */
export function refusedSection(section: MediaSection): MediaSection {
  const { lines } = withPort(section, 0);
  return { ...section, port: 0, lines: lines.filter((line, i) => i === 0 || isAttribute(line, 'mid')) };
}

/**
 * Takes the sections of `slots` out of every BUNDLE group (R7): lines that end at another transport cannot share one
 * (RFC 9143 7). A group left without members goes.
 */
export function leaveBundle(sdp: SessionDescription, slots: readonly number[]): SessionDescription {
  if (!sdp.session.some(isBundleGroup)) return sdp;
  const leaving = new Set<string>();
  for (const slot of slots) {
    const line = sdp.media[slot]?.lines.find((l) => isAttribute(l, 'mid'));
    if (line) leaving.add(line.slice(line.indexOf(':') + 1).trim());
  }
  const session = sdp.session.flatMap((line) => {
    if (!isBundleGroup(line)) return [line];
    const [semantics, ...mids] = line.trimEnd().split(/ +/);
    const staying = mids.filter((mid) => !leaving.has(mid));
    if (staying.length === mids.length) return [line];
    return staying.length === 0 ? [] : [[semantics, ...staying].join(' ')];
  });
  return { ...sdp, session };
}

function isBundleGroup(line: string): boolean {
  return line.startsWith('a=group:BUNDLE');
}
