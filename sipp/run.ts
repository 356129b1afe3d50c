import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { leftBehind, needsCoreAlone, runAlone } from './accident.ts';
import { type Core, startCore } from './core.ts';
import { PAIRS } from './pairs/index.ts';
import { junit, table } from './report.ts';
import { type PairOptions, type PairResult, pairNames, runPair, runPairCleanly, sippAvailable } from './sipp.ts';

const USAGE = `imsdc-sipp run [pattern...]   runs call scripts and prints one table
imsdc-sipp list [pattern...]  says what they show

  --dc4 COMMAND        with --target: how DC4 is spoken to, "sipp/dc4.sh URL SECRET"
  --target HOST:PORT   an AS that runs already, set up as sipp/README.md says; default: start one on loopback
  --calls N            of each pair (1; the pairs with loss make 60)
  --rate N             calls per second, of each pair (10)
  --loss PERCENT       messages that both ends lose
  --transport udp|tcp
  --at-once N          pairs that run side by side (1; with --all-together: all)
  --all-together       load: --rate for all pairs together, for --seconds; in waves of --at-once pairs
  --seconds N          (60)
  --timeout SECONDS    of one pair (60, or as long as --all-together takes and 60 more)
  --logs DIRECTORY     keeps what SIPp writes, every message too
  --json FILE, --junit FILE
`;
/** Exit codes of sysexits.h. */
const EXIT = { usage: 64, unavailable: 69 } as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string' },
    dc4: { type: 'string' },
    calls: { type: 'string' },
    rate: { type: 'string', default: '10' },
    loss: { type: 'string', default: '0' },
    transport: { type: 'string' },
    'at-once': { type: 'string' },
    'all-together': { type: 'boolean', default: false },
    seconds: { type: 'string', default: '60' },
    timeout: { type: 'string' },
    logs: { type: 'string' },
    json: { type: 'string' },
    junit: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [command, ...patterns] = positionals;
const named = pairNames().filter((name) => patterns.length === 0 || patterns.some((p) => name.includes(p)));
const wanted = named.filter((name) => !needsCoreAlone(name) || mayHaveCoreAlone());

/** Somebody else's AS is not ours to kill or to set up, and a load runs on one that lives. */
function mayHaveCoreAlone(): boolean {
  return command === 'list' || (values.target === undefined && !values['all-together']);
}

if (values.help || (command !== 'run' && command !== 'list')) {
  process.stderr.write(USAGE);
  process.exitCode = values.help ? 0 : EXIT.usage;
} else if (wanted.length === 0) {
  if (named.length > 0) sayWhatIsLeftOut();
  else process.stderr.write(`no script matches ${patterns.join(' ')}; there are: ${pairNames().join(', ')}\n`);
  process.exitCode = EXIT.usage;
} else if (command === 'list') {
  for (const { name, shows } of PAIRS) if (wanted.includes(name)) process.stdout.write(`${name}: ${shows}\n`);
} else if (!sippAvailable()) {
  process.stderr.write('sipp is not installed here (Debian: apt-get install sip-tester)\n');
  process.exitCode = EXIT.unavailable;
} else {
  await run();
}

function sayWhatIsLeftOut() {
  const leftOut = named.filter((name) => !wanted.includes(name));
  const why = 'only with a core of our own, for them alone, and not with --all-together';
  if (leftOut.length > 0) process.stderr.write(`left out: ${leftOut.join(', ')} (${why})\n`);
}

async function run() {
  sayWhatIsLeftOut();
  const core = values.target === undefined ? await startCore() : undefined;
  // Ctrl-C ends the scripts too (same process group): their failures end the run, and `finally` stops the core.
  process.once('SIGINT', () => process.stderr.write('stopping\n'));
  try {
    const results = values['all-together'] ? await together(core) : await oneAfterTheOther(core);
    results.sort((a, b) => a.name.localeCompare(b.name));
    process.stdout.write(table(results));
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
    if (values.junit !== undefined) writeFileSync(values.junit, junit(results));
    process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
    if (core !== undefined) process.exitCode ||= await leftovers(core);
  } finally {
    await core?.stop();
  }
}

/** A call or a context that outlives its scripts is a leak, though every script passed. */
async function leftovers(core: Core): Promise<number> {
  const left = leftBehind(await core.holds());
  process.stdout.write(`${left ?? 'left behind: nothing'}\n`);
  return left === undefined ? 0 : 1;
}

async function oneAfterTheOther(core: Core | undefined): Promise<PairResult[]> {
  const waiting = wanted.filter((name) => !needsCoreAlone(name));
  const results: PairResult[] = [];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const lossy = PAIRS.find((pair) => pair.name === name)?.run?.lossPercent !== undefined;
      const calls = Number(values.calls ?? (lossy ? 60 : 1));
      const timeoutSeconds = Number(values.timeout ?? 60);
      const result = await runPairCleanly(optionsOf(core, { name, calls, rate: Number(values.rate), timeoutSeconds }));
      process.stderr.write(`${result.passed ? 'pass' : 'FAIL'} ${name}\n`);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: Number(values['at-once'] ?? 1) }, worker));
  // The others must not be in the way of the kill, nor it in theirs.
  for (const name of wanted.filter(needsCoreAlone)) {
    const calls = Number(values.calls ?? 1);
    const options = { name, calls, rate: Number(values.rate), timeoutSeconds: Number(values.timeout ?? 60) };
    const result = await runAlone(core!, (own) => optionsOf(own, options));
    process.stderr.write(`${result.passed ? 'pass' : 'FAIL'} ${name}\n`);
    results.push(result);
  }
  return results;
}

/**
 * Every pair gets an equal share of the rate. A SIPp process costs a hundredth of a core even when little happens, so
 * with `--at-once` the pairs take turns in waves, which share the time.
 */
async function together(core: Core | undefined): Promise<PairResult[]> {
  const inWave = values['at-once'] === undefined ? wanted.length : Math.min(Number(values['at-once']), wanted.length);
  const waves = Math.ceil(wanted.length / inWave);
  const seconds = Number(values.seconds) / waves;
  const results: PairResult[] = [];
  let goodWaves = 0;
  for (let wave = 0; wave < waves; wave++) {
    const names = wanted.filter((_, index) => index % waves === wave);
    const rate = Number(values.rate) / names.length;
    const calls = Number(values.calls ?? Math.max(1, Math.round(rate * seconds)));
    const timeoutSeconds = Number(values.timeout ?? seconds + 60);
    process.stderr.write(`wave ${wave + 1} of ${waves}: ${names.length} pairs, ${calls} calls each: `);
    const run = (name: string) =>
      runPair({ ...optionsOf(core, { name, calls, rate, timeoutSeconds }), repeatsAllowed: true });
    const done = await Promise.all(names.map(run));
    const failed = done.filter(({ passed }) => !passed).map(({ name }) => name);
    if (failed.length === 0) goodWaves++;
    process.stderr.write(failed.length === 0 ? 'pass\n' : `FAIL ${failed.join(', ')}\n`);
    results.push(...done);
  }
  process.stdout.write(`${goodWaves} of ${waves} waves without a failure\n`);
  return results;
}

function optionsOf(core: Core | undefined, options: Omit<PairOptions, 'target'>): PairOptions {
  const given = /^(.*):(\d+)$/.exec(values.target ?? `127.0.0.1:${core?.port}`);
  const target = { address: given?.[1] ?? values.target!, port: Number(given?.[2] ?? 5060) };
  const { transport } = values;
  return {
    ...options,
    target,
    ...(values.dc4 === undefined && core === undefined ? {} : { dc4: values.dc4 ?? core?.dc4 }),
    lossPercent: Number(values.loss),
    ...(values.logs === undefined ? {} : { logs: values.logs }),
    ...(transport === 'udp' || transport === 'tcp' ? { transport } : {}),
  };
}
