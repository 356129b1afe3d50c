import { createLogger } from '../base/log.ts';
import { HOME_DOMAIN, MENU_APPLICATION } from '../lab/config-file.ts';
import { runLab } from '../lab/lab.ts';
import type { StepReport } from '../lab/scenario/step.ts';
import { SCSCF_DEFAULTS, startScscf } from '../lab/scscf/index.ts';
import type { World } from '../lab/world.ts';
import { oneOf, portNumber, readCommandLine, writeOut } from './command-line.ts';

const HELP = `imsdc lab [--once] [--json]

Starts imsdc dcsf, imsdc mf and imsdc dc-as, a small S-CSCF and two UEs on loopback, makes a real call over them and
shows it as it happens. Then everything stays up for your own calls, until Ctrl-C.

  --once            end after the call; exit status 0 when every step was right
  --json            one JSON line with the results on standard output, nothing else there
  --directory DIR   configuration, logs, repository and the ladder diagram (.imsdc/lab)
  --engine NAME     media worker: auto, embedded or native
  --port N          of the S-CSCF (any free port)
  --ladder          print the whole ladder diagram in the terminal
  --scscf-only      only the S-CSCF, in front of an AS that runs already:
      --application-server URI    where every INVITE passes twice; without it, no AS
`;

const OPTIONS = {
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  ladder: { type: 'boolean', default: false },
  directory: { type: 'string', default: '.imsdc/lab' },
  engine: { type: 'string', default: 'auto' },
  port: { type: 'string' },
  'scscf-only': { type: 'boolean', default: false },
  'application-server': { type: 'string', default: '' },
} as const;

const read = (argv: string[]) => readCommandLine(argv, { help: HELP, options: OPTIONS });
type Values = NonNullable<ReturnType<typeof read>>['values'];

/** `imsdc lab`. Throws USAGE, LAB_PROCESS. */
export async function labCommand(argv: string[]): Promise<number> {
  const values = read(argv)?.values;
  if (values === undefined) return 0;
  const stopped = untilSignal();
  if (values['scscf-only']) return scscfOnly(values, stopped);
  return wholeLab(values, stopped);
}

async function wholeLab(values: Values, stopped: Promise<void>): Promise<number> {
  const say = values.json ? () => undefined : (text: string) => writeOut(`${text}\n`);
  const engine = oneOf('engine', values.engine, ['auto', 'embedded', 'native']);
  say('imsdc lab: one real IMS data channel call, on loopback\n');
  const running = runLab({
    directory: values.directory,
    engine,
    scscfPort: portNumber('port', values.port ?? '0'),
    onStep: (step) => say(stepLine(step)),
  });
  running.catch((error: Error) => {
    if (values.json) writeOut(`${JSON.stringify({ ok: false, failed: 'start', problem: error.message })}\n`);
  });
  const lab = await Promise.race([running, stopped]);
  // A signal came while the lab was starting: it is ended as soon as it can be.
  if (!lab) {
    await (await running).world.close();
    return 130;
  }
  const { world, report } = lab;
  try {
    if (values.json) writeOut(`${JSON.stringify(report)}\n`);
    if (values.ladder) say(`\n${lab.ladderText(process.stdout.columns ?? 160)}`);
    say(`\nLadder diagram, every SIP message clickable: ${report.ladder}`);
    if (!report.ok) {
      process.stderr.write(`imsdc lab: step '${report.failed}' failed: ${report.problem}\n`);
      say(`Logs: ${world.files.directory}/*.log`);
      return 1;
    }
    say(
      `All ${report.steps.length} steps right, ${report.sipMessages} SIP messages, ${(report.totalMs / 1000).toFixed(1)} s.`,
    );
    if (values.once) return 0;
    say(invitation(world));
    await Promise.race([stopped, world.failure]);
    return 0;
  } finally {
    await world.close();
  }
}

async function scscfOnly(values: Values, stopped: Promise<void>): Promise<number> {
  const scscf = await startScscf(
    {
      ...SCSCF_DEFAULTS,
      port: portNumber('port', values.port ?? String(SCSCF_DEFAULTS.port)),
      applicationServer: values['application-server'],
    },
    { log: createLogger({ name: 'scscf' }) },
  );
  const where = { scscf: `sip:${scscf.address}:${scscf.port}`, domain: HOME_DOMAIN };
  writeOut(values.json ? `${JSON.stringify(where)}\n` : `S-CSCF of ${HOME_DOMAIN} on ${where.scscf}; Ctrl-C ends it\n`);
  await stopped;
  await scscf.close();
  return 0;
}

function stepLine({ ok, atMs, ms, title, note }: StepReport): string {
  const time = `${(atMs / 1000).toFixed(3)} s`.padStart(10);
  return `${time}  ${ok ? '✓' : '✗'} ${title}\n${' '.repeat(14)}${note} (${ms} ms)`;
}

/** How to call the lab that stays up. */
function invitation(world: World): string {
  const proxy = world.proxyUri;
  return `
The lab is up: S-CSCF ${proxy} (UDP and TCP, domain ${HOME_DOMAIN}), IMS AS ${world.applicationServer},
  DC AS ${world.dcAs} (customer-service menu, application ${MENU_APPLICATION})

  a UE that answers:   npx imsdc ue --identity sip:carol@${HOME_DOMAIN} --proxy ${proxy} -c register -c 'answer --timeout 0' -c 'echo 1000' -c 'wait ended --timeout 0'
  a UE that calls it:  npx imsdc ue --identity sip:dave@${HOME_DOMAIN} --proxy ${proxy} -c register -c 'call sip:carol@${HOME_DOMAIN}' -c list -c 'open 10000001' -c 'send 1000 hello' -c 'receive 1000' -c hangup
  the DC AS's menu:    ... the same, with -c 'open ${MENU_APPLICATION} --endpoint server' -c 'receive 1000' -c 'send 1000 {"tap":"bill"}' -c 'receive 1000'
  SIPp in place of us: npx imsdc-sipp run bootstrap-invite --target ${world.applicationServer.slice('sip:'.length)}   (sipp/README.md)
  what they hold:      curl ${world.admin.dcsf}/status ; curl ${world.admin.mf}/status

Ctrl-C ends it.`;
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
