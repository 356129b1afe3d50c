import { isIPv6 } from 'node:net';
import type { Refusal } from './forwarding.ts';
import { type Command, runProgram } from './program.ts';

export const IP: Command = ['ip'];

export interface Question {
  readonly destination: string;
  /** Our address on that side. */
  readonly source: string;
}

export interface NextHop {
  /** Interface index. */
  readonly device: number;
  /** The router's address, or the destination itself. */
  readonly address: string;
  readonly mtuBytes: number;
}

export interface NextHops {
  of(question: Question): NextHop | Refusal;
  /** All devices of the host: index and name. */
  readonly devices: ReadonlyMap<number, string>;
}

/** One line of `ip -j route get`. */
interface ListedRoute {
  readonly dst: string;
  readonly from?: string;
  /** Absent: unicast. */
  readonly type?: string;
  readonly dev?: string;
  readonly gateway?: string;
  /** A router of the other IP version. */
  readonly via?: object;
  readonly metrics?: readonly { readonly mtu?: number }[];
}

interface ListedLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly link_type: string;
}

/** Asks the kernel for the routes that a socket of the MF would use. Never rejects: without an answer there is no route. */
export async function askNextHops(ip: Command, questions: readonly Question[]): Promise<NextHops> {
  const asked = [...new Set(questions.map(nameOf))];
  const script = asked.map((name) => `route get ${name}\n`).join('');
  // -force: a destination without a route ends neither the others nor their answers.
  const [routes, links] = await Promise.all([
    runProgram(ip, ['-j', '-force', '-batch', '-'], script),
    runProgram(ip, ['-j', 'link']),
  ]);
  const byName = new Map<string, ListedRoute>();
  for (const route of lines<readonly ListedRoute[]>(routes.output).flat()) {
    byName.set(nameOf({ destination: route.dst, source: route.from ?? '' }), route);
  }
  const devices = new Map(
    lines<readonly ListedLink[]>(links.output).flatMap((all) => all.map((one) => [one.ifname, one])),
  );
  return {
    of: (question) => nextHop(question, byName.get(nameOf(question)), devices),
    devices: new Map([...devices.values()].map(({ ifindex, ifname }) => [ifindex, ifname])),
  };
}

const nameOf = ({ destination, source }: Question) => `${destination} from ${source}`;

function lines<Value>(output: string): Value[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('['))
    .map((line) => JSON.parse(line) as Value);
}

function nextHop(
  { destination }: Question,
  route: ListedRoute | undefined,
  devices: ReadonlyMap<string, ListedLink>,
): NextHop | Refusal {
  if (!route?.dev) return 'route';
  if (route.type !== undefined && route.type !== 'unicast') return 'local';
  if (route.via || (route.gateway && isIPv6(route.gateway) !== isIPv6(destination))) return 'family';
  const link = devices.get(route.dev);
  // Without link addresses there is no next hop to resolve: tunnels, the loopback.
  if (link?.link_type !== 'ether' || link.flags.includes('NOARP')) return 'device';
  const limits = (route.metrics ?? []).flatMap(({ mtu }) => mtu ?? []);
  return {
    device: link.ifindex,
    address: route.gateway ?? destination,
    mtuBytes: Math.min(link.mtu, ...limits),
  };
}
