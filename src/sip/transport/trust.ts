import { BlockList, isIP } from 'node:net';
import { ImsdcError } from '../../errors.ts';
import type { Destination, Flow } from '../types.ts';
import { isLoopback } from './transport.ts';

/** Verdicts remembered, by address. */
const MAX_REMEMBERED = 4096;

/**
 * Who belongs to our trust domain (RFC 3325, TS 24.229 4.4): IP addresses, CIDR blocks, and names in verified
 * certificates (`scscf.home.net`, `*.home.net`). Loopback always does: whoever is there could read our memory.
 */
export class TrustedPeers {
  readonly #addresses = new BlockList();
  readonly #names: readonly string[];
  readonly #verdicts = new Map<string, boolean>();

  /** Throws SIP_TRUST for an entry that is none of these. */
  constructor(entries: readonly string[]) {
    const names: string[] = [];
    for (const entry of entries) if (!addAddress(this.#addresses, entry)) names.push(nameOf(entry));
    this.#names = names;
  }

  trustsAddress(address: string): boolean {
    const known = this.#verdicts.get(address);
    if (known !== undefined) return known;
    const bare = address.replace(/%.*$/, '');
    const version = isIP(bare);
    const verdict = version !== 0 && (isLoopback(bare) || this.#addresses.check(bare, version === 4 ? 'ipv4' : 'ipv6'));
    if (this.#verdicts.size >= MAX_REMEMBERED) this.#verdicts.clear();
    this.#verdicts.set(address, verdict);
    return verdict;
  }

  /** Whether requests from there are served. */
  trustsFlow(flow: Pick<Flow, 'remoteAddress' | 'peerNames'>): boolean {
    return this.trustsAddress(flow.remoteAddress) || (flow.peerNames?.some((name) => this.#trustsName(name)) ?? false);
  }

  /** Whether identities and charging data may go there. */
  trustsDestination(to: Destination): boolean {
    if (this.trustsAddress(to.address)) return true;
    const verified = to.transport === 'tls' || to.transport === 'wss';
    return verified && to.serverName !== undefined && this.#trustsName(to.serverName);
  }

  #trustsName(name: string): boolean {
    const lower = name.toLowerCase();
    const parent = lower.slice(lower.indexOf('.'));
    return this.#names.some((known) => (known.startsWith('*.') ? known.slice(1) === parent : known === lower));
  }
}

function addAddress(list: BlockList, entry: string): boolean {
  const [address = '', bits, ...rest] = entry.split('/');
  const version = isIP(address);
  if (version === 0) {
    if (bits === undefined && !/^[\d.]+$|:/.test(entry)) return false;
    throw new ImsdcError('SIP_TRUST', { entry, problem: 'not an IP address, CIDR block or host name' });
  }
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (bits === undefined) list.addAddress(address, family);
  else if (rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
    list.addSubnet(address, Number(bits), family);
  else throw new ImsdcError('SIP_TRUST', { entry, problem: 'bad prefix length' });
  return true;
}

function nameOf(entry: string): string {
  if (!/^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/i.test(entry))
    throw new ImsdcError('SIP_TRUST', { entry, problem: 'not an IP address, CIDR block or host name' });
  return entry.toLowerCase();
}
