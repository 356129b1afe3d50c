/**
 * `node sipp/run.ts [pattern] --target 127.0.0.1:5060 [--calls 1] [--rate 1] [--loss 2] [--transport tcp]`:
 * runs the call scripts against a running AS and prints one table.
 */
import { parseArgs } from 'node:util';
import { type PairResult, pairNames, runPair, sippAvailable } from './sipp.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: '127.0.0.1:5060' },
    calls: { type: 'string', default: '1' },
    rate: { type: 'string', default: '10' },
    loss: { type: 'string', default: '0' },
    transport: { type: 'string', default: 'udp' },
    timeout: { type: 'string', default: '60' },
  },
});

if (!sippAvailable()) {
  process.stderr.write('sipp is not installed here (Debian: apt-get install sip-tester)\n');
  process.exit(69);
}
const [address, port] = [values.target.replace(/:\d+$/, ''), Number(/:(\d+)$/.exec(values.target)?.[1] ?? 5060)];
const wanted = pairNames().filter((name) => positionals.length === 0 || positionals.some((p) => name.includes(p)));
if (wanted.length === 0) {
  process.stderr.write(`no script matches ${positionals.join(' ')}; there are: ${pairNames().join(', ')}\n`);
  process.exit(64);
}

const results: PairResult[] = [];
for (const name of wanted) {
  process.stderr.write(`${name} ...\n`);
  results.push(
    await runPair({
      name,
      target: { address, port },
      calls: Number(values.calls),
      rate: Number(values.rate),
      lossPercent: Number(values.loss),
      transport: values.transport === 'tcp' ? 'tcp' : 'udp',
      timeoutSeconds: Number(values.timeout),
    }),
  );
}

const width = Math.max(...results.map(({ name }) => name.length), 6);
process.stdout.write(`${'script'.padEnd(width)}  result  calls  retransmissions  seconds\n`);
for (const { name, passed, seconds, uac, uas } of results) {
  const calls = `${uac.successful}/${uac.successful + uac.failed}`;
  process.stdout.write(
    `${name.padEnd(width)}  ${passed ? 'pass  ' : 'FAIL  '}  ${calls.padEnd(5)}  ` +
      `${String(uac.retransmissions + uas.retransmissions).padEnd(15)}  ${seconds.toFixed(1)}\n`,
  );
  if (!passed) process.stdout.write(`${[uac.errors, uas.errors].join('\n').trim()}\n`);
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
