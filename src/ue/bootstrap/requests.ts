import type { HandsetProfile } from '../profile.ts';

/**
 * The requests of deployed handsets, byte for byte (ue-side 6.2, E11): no Host at all from the China libraries, an
 * empty one from the browser-like UE (TS 26.114 6.2.10.1: the authority has no meaning on a bootstrap channel).
 */
export interface BootstrapRequest {
  readonly target: string;
  /** The version we hold; sent as If-None-Match where the handset does. */
  readonly etag?: string;
}

export interface HandsetIdentity {
  readonly vendor: string;
  readonly model: string;
  readonly sdkVersion: string;
}

export function requestBytes(profile: HandsetProfile, request: BootstrapRequest): string {
  const line = `GET ${request.target} HTTP/1.1\r\n`;
  switch (profile.name) {
    case 'china-mobile':
      // No space after the colon, and the field is sent even when we hold nothing.
      return `${line}If-None-Match:${request.etag ?? ''}\r\n\r\n`;
    case 'china-telecom':
      return request.etag === undefined ? `${line}\r\n` : `${line}If-None-Match: ${request.etag}\r\n\r\n`;
    case 'browser':
      return request.etag === undefined
        ? `${line}Host:\r\nAccept: */*\r\n\r\n`
        : `${line}Host:\r\nAccept: */*\r\nIf-None-Match: ${request.etag}\r\n\r\n`;
    default:
      return profile.name satisfies never;
  }
}

/** What the handset asks for first. */
export function rootTarget(profile: HandsetProfile, identity: HandsetIdentity): string {
  switch (profile.name) {
    case 'china-mobile':
      return `/?Terminal_Vendor=${encodeURIComponent(identity.vendor)}&Terminal_Model=${encodeURIComponent(identity.model)}`;
    case 'china-telecom':
      return listTarget(profile, identity);
    case 'browser':
      return '/';
    default:
      return profile.name satisfies never;
  }
}

/** The China Telecom SDK adds its version; the China Mobile root app asks for whatever URL it was written with. */
export function listTarget(profile: HandsetProfile, identity: HandsetIdentity): string {
  const paging = '/applicationlist?begin-index=0&app-num=100';
  return profile.name === 'china-telecom' ? `${paging}&sdkVersion=${identity.sdkVersion}` : paging;
}

export function applicationTarget(profile: HandsetProfile, identity: HandsetIdentity, applicationId: string): string {
  const target = `/applications?appid=${encodeURIComponent(applicationId)}`;
  return profile.name === 'china-telecom' ? `${target}&sdkVersion=${identity.sdkVersion}` : target;
}

/** Cuts a request as the handset does: China Mobile at 64,000 bytes whatever was negotiated, the others never. */
export function requestMessages(profile: HandsetProfile, bytes: Uint8Array): Uint8Array[] {
  const size = profile.requestChunkBytes ?? bytes.length;
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) messages.push(bytes.subarray(at, at + size));
  return messages;
}
