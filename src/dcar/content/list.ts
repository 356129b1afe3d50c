import type { PublishedApplication } from '../repository.ts';
import { type ContentReply, type ContentRequest, listed, refusal } from './request.ts';

/** What handsets ask for at once; more per page is served as this many. */
const MAX_PAGE = 100;

/**
 * `GET /applicationlist?begin-index=&app-num=&sdkVersion=`: the China Telecom list (miniapp-runtime.md 2.2), every
 * key present, because the SDK crashes on some that are not.
 */
export function applicationList(request: ContentRequest): ContentReply {
  const beginIndex = count(request.query, 'begin-index', 0);
  const pageSize = count(request.query, 'app-num', MAX_PAGE);
  if (beginIndex === undefined) return refusal(400, 'begin-index must be a number from 0');
  if (pageSize === undefined) return refusal(400, 'app-num must be a number from 0');
  const all = listed(request);
  const page = all.slice(beginIndex, beginIndex + Math.min(pageSize, MAX_PAGE));
  const list = {
    appNum: page.length,
    beginIndex,
    totalAppNum: all.length,
    ifPeerSupportDC: request.grant.peerSupportsDc,
    applications: page.map(entry),
  };
  return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(list)) };
}

function entry(application: PublishedApplication): Record<string, unknown> {
  return {
    appid: application.applicationId,
    appName: application.name,
    appIcon: application.icon,
    autolaunch: application.autolaunch,
    autoload: application.autoload,
    // Equal to the ETag of the package, or the handset downloads it again at every start.
    etag: application.version,
    ifWorkWithoutPeerDC: application.worksWithoutPeerDc,
    phase: application.phase,
    'qos-hint': application.qosHint,
    supportScene: application.supportScene,
  };
}

/** Absent or empty gives the default, garbage undefined. */
function count(query: URLSearchParams, name: string, fallback: number): number | undefined {
  const text = query.get(name) ?? '';
  if (text === '') return fallback;
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
