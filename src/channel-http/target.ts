import { badHead, printable } from './head.ts';

/**
 * A request target reduced to path and query (R27): scheme, authority and fragment go, dot segments too, escaped ones
 * included, and the path starts with exactly one slash, so that it can never name another host or leave its base.
 *
 * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD for `*` for characters that no URI has, and for escaped slashes in the path
 */
export function originForm(target: string): string {
  if (!/^[\x21-\x7e\x80-\xff]+$/.test(target) || /[\\<>"^`{|}]/.test(target)) {
    throw badHead(`target '${printable(target)}'`);
  }
  if (target === '*') throw badHead("target '*' names nothing here");
  const withoutFragment = target.split('#', 1)[0] ?? '';
  const relative = withoutFragment.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?]*/, '');
  const question = relative.indexOf('?');
  const path = question === -1 ? relative : relative.slice(0, question);
  const query = question === -1 ? '' : relative.slice(question);
  if (/%(?:2f|5c|00)/i.test(path)) throw badHead(`escaped separator in target '${printable(path)}'`);
  return withoutDotSegments(path) + query;
}

/**
 * The URL the MF asks for in place of a UE's target: `/` becomes `replaceHttpUrl`, other paths are joined under it,
 * the query stays (TS 29.176 ReplaceHttpUrl, R27: `replaceHttpUrl` ends in '/' and has no query).
 */
export function replacedUrl(replaceHttpUrl: string, target: string): string {
  return replaceHttpUrl + originForm(target).slice(1);
}

/** RFC 3986 5.2.4, with `%2e` taken as the dot that some servers make of it. */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.replace(/^\/+/, '').split('/');
  for (const [i, segment] of segments.entries()) {
    const plain = segment.replace(/%2e/gi, '.');
    const isLast = i === segments.length - 1;
    if (plain === '..') kept.pop();
    if (plain !== '.' && plain !== '..') kept.push(segment);
    else if (isLast) kept.push('');
  }
  return `/${kept.join('/').replace(/^\/+/, '')}`;
}
