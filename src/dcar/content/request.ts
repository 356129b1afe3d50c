import type { Grant } from '../../services/ndcar.ts';
import type { PublishedApplication, Repository } from '../repository.ts';

/** One MDC1 request whose token was found good. */
export interface ContentRequest {
  readonly grant: Grant;
  readonly query: URLSearchParams;
  /** Lower-case name; undefined when absent, '' when empty, which handsets do send. */
  header(name: string): string | undefined;
  readonly repository: Repository;
}

export interface ContentReply {
  readonly status: number;
  /** Short: a handset may take messages of 1,024 bytes, and the header block must fit the first (ue-side.md 6.3). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** How this UE wants to be served. The grant's hint wins; else the request tells (ue-side.md 6.2). */
export function handsetOf(request: ContentRequest): 'china-mobile' | 'china-telecom' | 'browser' {
  const { grant, query } = request;
  if (grant.profile !== 'auto') return grant.profile;
  if (query.has('Terminal_Vendor') || query.has('Terminal_Model')) return 'china-mobile';
  if (query.has('sdkVersion')) return 'china-telecom';
  if (request.header('accept') !== undefined || request.header('user-agent') !== undefined) return 'browser';
  // No header but If-None-Match, on a request without a query: the China Mobile library asking for its root.
  return request.header('if-none-match') === undefined ? 'browser' : 'china-mobile';
}

/** Newest version of each application that the token's owner may have. Root mini-apps are no entries of a list. */
export function listed({ grant, repository }: ContentRequest): PublishedApplication[] {
  return repository
    .newest()
    .filter(({ role, applicationId }) => role === 'application' && permits(grant, applicationId));
}

function permits({ applications }: Grant, applicationId: string): boolean {
  return applications === '*' || applications.includes(applicationId);
}

/** RFC 9110 13.1.2, with the bare versions that handsets send. */
export function matchesTag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (!ifNoneMatch) return false;
  const bare = (tag: string) =>
    tag
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
  return ifNoneMatch.split(',').some((tag) => bare(tag) === bare(etag) || tag.trim() === '*');
}

/** RFC 9530 3. */
export function reprDigest(sha256: string): string {
  return `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
}

/** ProblemDetails for a UE whose token is good and whose request is not. */
export function refusal(status: number, detail: string): ContentReply {
  const body = Buffer.from(JSON.stringify({ status, detail }));
  return { status, headers: { 'content-type': 'application/problem+json' }, body };
}
