import { fieldText, words } from './lines.ts';
import type { MediaSection, SessionDescription } from './types.ts';

/**
 * The address of a section: its own c= line or the session's (RFC 8866 5.7), without TTL. Undefined when there is
 * none or it is not an IP literal. Old-style hold ('0.0.0.0') is returned as it is.
 */
export function connectionAddress(sdp: SessionDescription, section: MediaSection): string | undefined {
  const text = fieldText(section.lines, 'c') ?? fieldText(sdp.session, 'c');
  const [network, , address = ''] = text === undefined ? [] : words(text);
  const literal = address.split('/', 1)[0] ?? '';
  return network === 'IN' && (isIpv4(literal) || isIpv6(literal)) ? literal : undefined;
}

/** Can be sent to: not unspecified, multicast or broadcast, which would turn our packets into a flood. */
export function isUnicast(address: string): boolean {
  if (isIpv4(address)) {
    const first = Number(address.split('.', 1)[0]);
    return first !== 0 && first < 224;
  }
  const groups = expandIpv6(address);
  if (!groups) return false;
  const [high, low] = groups.slice(6) as [number, number];
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) {
    return isUnicast(`${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`); // IPv4-mapped
  }
  return groups.some((g) => g !== 0) && (groups[0]! & 0xff00) !== 0xff00;
}

export function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

export function isIpv6(text: string): boolean {
  return expandIpv6(text) !== undefined;
}

/** The eight groups of an IPv6 literal; undefined if it is none. A trailing dotted quad counts as two groups. */
function expandIpv6(text: string): number[] | undefined {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => groupsOf(half, i === halves.length - 1));
  if (!head || (halves.length === 2 && !tail)) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  const missing = 8 - head.length - tail!.length;
  return missing < 1 ? undefined : [...head, ...new Array<number>(missing).fill(0), ...tail!];
}

function groupsOf(part: string, endsLiteral: boolean): number[] | undefined {
  if (part === '') return [];
  const groups: number[] = [];
  const fields = part.split(':');
  for (const [i, field] of fields.entries()) {
    if (endsLiteral && i === fields.length - 1 && isIpv4(field)) {
      const [a, b, c, d] = field.split('.').map(Number) as [number, number, number, number];
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(field)) {
      groups.push(Number.parseInt(field, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}
