import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCa, issue, type PemPair } from '../pki/lab-ca.ts';
import { readCommandLine, usage, writeOut } from './command-line.ts';

const HELP = `imsdc pki init [--dir pki] [--days 365] NAME[,NAME|ADDRESS...]...

Makes a lab CA (once) and a certificate per argument, for mutual TLS on DC1, DC2 and MDC1 off loopback.
The first name of an argument names the files; all its names and addresses go into the certificate.

  imsdc pki init dcsf1,198.18.1.10 mf1,198.18.1.20
    pki/ca.pem  pki/ca.key  pki/dcsf1.pem  pki/dcsf1.key  pki/mf1.pem  pki/mf1.key

Certificates that are there already are kept. Keep ca.key to yourself.
`;

/** `imsdc pki`: the lab's own certificates. */
export async function pkiCommand(argv: string[]): Promise<number> {
  const line = readCommandLine(argv, {
    help: HELP,
    words: true,
    options: { dir: { type: 'string', default: 'pki' }, days: { type: 'string', default: '365' } },
  });
  if (line === undefined) return 0;
  const { values, positionals } = line;
  const [verb, ...subjects] = positionals;
  if (verb === undefined) {
    writeOut(HELP);
    return 64;
  }
  if (verb !== 'init') throw usage(`there is no "imsdc pki ${verb}"`);
  const validityDays = Number(values.days);
  if (!Number.isInteger(validityDays) || validityDays < 1) {
    throw usage(`--days takes a whole number of days, not "${values.days}"`);
  }
  mkdirSync(values.dir, { recursive: true });
  const nowMs = Date.now();
  const ca = await readOrMake(join(values.dir, 'ca'), () =>
    createCa({ commonName: 'imsdc lab CA', validityDays: validityDays * 2, nowMs }),
  );
  for (const subject of subjects) {
    const names = subject.split(',').filter((name) => name !== '');
    if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(names[0] ?? '')) {
      throw usage(`"${subject}" does not start with a host name`);
    }
    await readOrMake(join(values.dir, names[0]!), () => issue(ca, { names, validityDays, nowMs }));
  }
  return 0;
}

async function readOrMake(path: string, make: () => Promise<PemPair>): Promise<PemPair> {
  const [certificate, key] = [`${path}.pem`, `${path}.key`];
  if (existsSync(certificate) && existsSync(key)) {
    return { certificatePem: readFileSync(certificate, 'utf8'), privateKeyPem: readFileSync(key, 'utf8') };
  }
  const pair = await make();
  // Not for everybody's eyes, from the first byte on.
  writeFileSync(key, pair.privateKeyPem, { mode: 0o600 });
  writeFileSync(certificate, pair.certificatePem);
  process.stdout.write(`${certificate}\n`);
  return pair;
}
