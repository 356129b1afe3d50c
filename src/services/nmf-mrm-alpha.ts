import { createHash } from 'node:crypto';
import { alphaTlsId } from '../dtls/tls-id.ts';
import type { MediaContext, PatchItem } from './nmf-mrm.ts';

/**
 * Our Nmf_MRM messages as an MF of the 2023/2024 schemas takes them (network-side.md 3.6): old proxy names (R3), no
 * vendor member (R4), hexadecimal tls-ids (R12), one `fingerprint` instead of a list, and no `subprotocol`, whose
 * pattern there refuses every real name.
 */
export function alphaContext(context: MediaContext): MediaContext {
  return alphaValue(context) as MediaContext;
}

/** Operations inside members that an alpha MF does not know are left out. */
export function alphaPatch(items: readonly PatchItem[]): PatchItem[] {
  return items
    .filter((item) => !item.path.split('/').some((token) => DROPPED.has(token)))
    .map((item) => {
      if (!('value' in item)) return item;
      const key = item.path.slice(item.path.lastIndexOf('/') + 1);
      return { ...item, value: alphaMember(key, item.value) };
    });
}

const DROPPED: ReadonlySet<string> = new Set(['fingerprints', 'imsdc', 'subprotocol']);
const PROXY: Readonly<Record<string, string>> = {
  DC_APPLICATION_PROXY: 'UDP',
  HTTP_PROXY: 'HTTP',
  UDP_PROXY: 'UDP',
};
const sha256Hex = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex');

function alphaMember(key: string, value: unknown): unknown {
  if (key === 'mediaProxyConfig') return PROXY[String(value)] ?? value;
  if (key === 'tlsId' && typeof value === 'string') return alphaTlsId(value, sha256Hex);
  return alphaValue(value);
}

function alphaValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(alphaValue);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (!DROPPED.has(key)) out[key] = alphaMember(key, member);
  }
  return out;
}
