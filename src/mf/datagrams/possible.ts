import { existsSync, readFileSync } from 'node:fs';
import { ruleProgram } from './device-table.ts';
import { IP } from './next-hops.ts';
import { NFT, nft } from './nft.ts';
import { type Command, runProgram } from './program.ts';

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;

/** What keeps the kernel from forwarding for us. */
export interface Obstacle {
  readonly problem: string;
  /** It could forward, but another packet filter would drop what it forwards: the operator knows better than we do. */
  readonly mayWork: boolean;
}

/** Undefined: the MF may program nftables, and the host forwards. Changes nothing. */
export async function kernelObstacle(
  forwarding: 'routed' | 'device' = 'routed',
  command: Command = NFT,
): Promise<Obstacle | undefined> {
  const never = (problem: string): Obstacle => ({ problem, mayWork: false });
  if (process.platform !== 'linux') return never('this is not Linux');
  if (!mayAdministerNetwork()) return never('the MF lacks CAP_NET_ADMIN');
  let chains: string;
  try {
    chains = await nft(command, ['-j', 'list', 'chains']);
  } catch (error) {
    return never((error as Error).message);
  }
  if (forwarding === 'device') {
    // What goes from device to device asks neither the host's forwarding nor its forward chain.
    if (!existsSync(ruleProgram())) return never(`${ruleProgram()} is not built (npm run setup)`);
    const { problem } = await runProgram(IP, ['-j', 'link']);
    return problem === undefined ? undefined : never(problem);
  }
  if (readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim() !== '1') return never('net.ipv4.ip_forward is 0');
  const dropping = forwardDrop(chains);
  if (dropping === undefined) return undefined;
  return { problem: `the policy of ${dropping} is drop; let UDP of the media ports pass there`, mayWork: true };
}

export function forwardsIPv6(): boolean {
  const setting = '/proc/sys/net/ipv6/conf/all/forwarding';
  return existsSync(setting) && readFileSync(setting, 'utf8').trim() === '1';
}

function mayAdministerNetwork(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** The chain that would drop what is forwarded, as nft names it. */
export function forwardDrop(listing: string): string | undefined {
  const { nftables } = JSON.parse(listing) as { nftables: readonly { chain?: ListedChain }[] };
  const found = nftables.find(({ chain }) => chain?.hook === 'forward' && chain.policy === 'drop')?.chain;
  return found && `chain ${found.family} ${found.table} ${found.name}`;
}
