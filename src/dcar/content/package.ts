import type { PublishedApplication } from '../repository.ts';
import { page } from './page.ts';
import {
  type ContentReply,
  type ContentRequest,
  handsetOf,
  listed,
  matchesTag,
  refusal,
  reprDigest,
} from './request.ts';

/**
 * `GET /applications?appid=&sdkVersion=`: the package. China Telecom handsets need the bare version as ETag and take
 * 304 for a failure; browser-like clients get both as RFC 9110 has them.
 */
export async function applicationPackage(request: ContentRequest): Promise<ContentReply> {
  const applicationId = request.query.get('appid') ?? '';
  if (applicationId === '') return refusal(400, 'appid is missing');
  const application = listed(request).find((one) => one.applicationId === applicationId);
  if (!application) return refusal(404, 'no such application');
  const handset = handsetOf(request);
  const etag = handset === 'china-telecom' ? application.version : `"${application.version}"`;
  return zip(request, application, etag, handset === 'browser');
}

/** `GET /`: the root mini-app for China Mobile handsets, a page for everybody else. */
export async function root(request: ContentRequest): Promise<ContentReply> {
  if (handsetOf(request) !== 'china-mobile') return page(request);
  // Part of the service, not an application one subscribes to: every token opens it.
  const application = request.repository.newest().find(({ role }) => role === 'root');
  if (!application) return refusal(404, 'no root mini-app is published');
  return zip(request, application, `"${application.version}"`, true);
}

async function zip(
  request: ContentRequest,
  application: PublishedApplication,
  etag: string,
  mayBeNotModified: boolean,
): Promise<ContentReply> {
  const headers = { etag, 'cache-control': 'private, no-cache' };
  if (mayBeNotModified && matchesTag(request.header('if-none-match'), etag)) {
    return { status: 304, headers, body: Buffer.alloc(0) };
  }
  const body = await request.repository.content(application);
  const digest = reprDigest(application.sha256);
  return { status: 200, headers: { ...headers, 'content-type': 'application/zip', 'repr-digest': digest }, body };
}
