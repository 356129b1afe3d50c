import { isIP } from 'node:net';
import type { Endpoint } from '../services/common-data.ts';

/** A string is the host that is no address. */
export function endpointOf(url: URL, address?: string, port?: number): Endpoint | string {
  const host = address ?? url.hostname.replace(/^\[(.*)\]$/, '$1');
  const version = isIP(host);
  if (version === 0) return host;
  const standard = url.protocol === 'https:' || url.protocol === 'wss:' ? 443 : 80;
  return {
    ip: version === 4 ? { ipv4Addr: host } : { ipv6Addr: host },
    transport: 'TCP',
    portNumber: port ?? Number(url.port || standard),
  };
}
