import { createLogger } from '../base/log.ts';
import { reportReady } from '../base/supervisor.ts';
import { echo } from '../dc-as/applications/echo.ts';
import { menu } from '../dc-as/applications/menu.ts';
import { whiteboard } from '../dc-as/applications/whiteboard.ts';
import { type ChannelHandler, Dc4Client, startDcAs } from '../dc-as/library/index.ts';
import type { SbiTls } from '../sbi/tls.ts';
import { oneOf, portNumber, readCommandLine, usage, writeOut } from './command-line.ts';

const HELP = `imsdc dc-as --menu APPID [--whiteboard APPID] [--echo APPID]

A sample DC AS: takes application channels from the MF over MDC2 (docs/mdc2.md). One line on standard output says where
it listens: the url, or dc4Url, for dcsf.policy.dcAs.

  --menu APPID         a customer-service menu that answers taps (P2A, A2P)
  --whiteboard APPID   what one user draws the other one sees (P2A2P: dcsf.policy.dcAs.<APPID>.between)
  --echo APPID         every message back
  --secret SECRET      shared with dcsf.policy.dcAs.<APPID>.secret; or the environment variable IMSDC_DC_AS_SECRET
  --address IP         127.0.0.1; anything off loopback needs the three TLS options
  --port N             8100; 0 = any free port
  --tls-cert FILE --tls-key FILE --tls-ca FILE
  --media-ports FIRST-LAST    UDP ports where DTLS ends, too (mdc2: UDP_PROXY, UDP/DTLS/SCTP); dc4Url is then where the DCSF
                              asks for an end of each line
  --media-address IP          of these ports; default --address
  --engine NAME               auto (default), native, embedded: what ends DTLS
  --dc4 URL --call IDENTITY    offer the menu to this user in his newest call (A2P), once, when we are up
`;

const OPTIONS = {
  menu: { type: 'string', multiple: true },
  whiteboard: { type: 'string', multiple: true },
  echo: { type: 'string', multiple: true },
  secret: { type: 'string' },
  address: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '8100' },
  'media-ports': { type: 'string' },
  'media-address': { type: 'string' },
  engine: { type: 'string', default: 'auto' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-ca': { type: 'string' },
  dc4: { type: 'string' },
  call: { type: 'string' },
} as const;

const read = (argv: string[]) => readCommandLine(argv, { help: HELP, options: OPTIONS });
type Values = NonNullable<ReturnType<typeof read>>['values'];

/** `imsdc dc-as`. Throws USAGE, SBI_PLAINTEXT, Dc4Error. */
export async function dcAsCommand(argv: string[]): Promise<number> {
  const values = read(argv)?.values;
  if (values === undefined) return 0;
  const secret = values.secret ?? process.env.IMSDC_DC_AS_SECRET;
  if (!secret) throw usage('--secret is missing');
  const applications = applicationsOf(values);
  if (Object.keys(applications).length === 0) throw usage('which applications? --menu, --whiteboard, --echo');
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop());
  const tls = tlsOf(values);
  const log = createLogger({ name: 'dc-as', level: process.env.IMSDC_LOG ?? 'info' });
  const { address } = values;
  const dtls = dtlsOf(values);
  const secured = { ...(tls && { tls }), ...(dtls && { dtls }) };
  const dcAs = await startDcAs({
    address,
    port: portNumber('port', values.port),
    ...secured,
    secret,
    applications,
    log,
  });
  const where = { url: dcAs.url, ...(dtls && { dc4Url: dcAs.dc4Url }) };
  writeOut(`${JSON.stringify({ ...where, applications: Object.keys(applications) })}\n`);
  reportReady(where, async () => stop());
  try {
    if (values.call !== undefined) await call(values, secret, tls);
    await stopped;
  } finally {
    await dcAs.close();
    if (process.connected) process.disconnect();
  }
  return 0;
}

async function call({ call: servedUser, dc4, menu: menus }: Values, secret: string, tls?: SbiTls): Promise<void> {
  const applicationId = menus?.[0];
  if (dc4 === undefined || servedUser === undefined || applicationId === undefined) {
    throw usage('--call needs --dc4 and --menu');
  }
  const client = new Dc4Client({ url: dc4, applicationId, secret, ...(tls && { tls }) });
  const line = await client.originate({ servedUser, channels: [{ name: 'menu' }] });
  writeOut(`${JSON.stringify({ offered: line })}\n`);
}

function applicationsOf({ echo: echoes, menu: menus, whiteboard: boards }: Values): Record<string, ChannelHandler> {
  const named = (ids: readonly string[] | undefined, handler: ChannelHandler) =>
    (ids ?? []).map((id): [string, ChannelHandler] => [id, handler]);
  return Object.fromEntries([...named(menus, menu), ...named(boards, whiteboard), ...named(echoes, echo)]);
}

function tlsOf(values: Values): SbiTls | undefined {
  const { 'tls-ca': caFile, 'tls-cert': certFile, 'tls-key': keyFile } = values;
  if (!caFile && !certFile && !keyFile) return undefined;
  if (!caFile || !certFile || !keyFile) throw usage('--tls-cert, --tls-key and --tls-ca go together');
  return { caFile, certFile, keyFile };
}

function dtlsOf({ address, engine, 'media-address': mediaAddress = address, 'media-ports': ports }: Values) {
  if (ports === undefined) return undefined;
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(ports) ?? [];
  const [firstPort, lastPort] = [Number(first), Number(last)];
  if (!(firstPort >= 1 && firstPort <= lastPort && lastPort <= 65_535)) throw usage(`--media-ports ${ports}`);
  return {
    address: mediaAddress,
    firstPort,
    lastPort,
    engine: oneOf('engine', engine, ['auto', 'native', 'embedded']),
  };
}
