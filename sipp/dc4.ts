import { parseArgs } from 'node:util';
import { Dc4Client, Dc4Error } from '../src/dc-as/library/index.ts';

/**
 * What a script runs to be the DC AS, or the operator, for a moment: channels from an application to a user (DC4).
 *
 *     node sipp/dc4.ts URL SECRET APPLICATION USER [NAME...] [--bootstrap]
 *
 * Exit code 1 and one line on standard error when the DCSF refuses.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { bootstrap: { type: 'boolean', default: false } },
});
const [url = '', secret = '', applicationId = '', servedUser = '', ...names] = positionals;
try {
  const client = new Dc4Client({ url, applicationId, secret });
  const channels = names.map((name) => ({ name }));
  await client.originate({ servedUser, channels, bootstrap: values.bootstrap });
} catch (error) {
  const status = error instanceof Dc4Error ? `${error.status} ` : '';
  process.stderr.write(`dc4: ${status}${(error as Error).message}\n`);
  process.exitCode = 1;
}
