import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { UserEquipment } from '../../src/ue/user-equipment.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');

test('imsdc lab --scscf-only: a core for scripts, until it is told to stop', { timeout: 30_000 }, async () => {
  const lab = spawn(process.execPath, [MAIN, 'lab', '--scscf-only', '--json', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  after(() => lab.kill());
  const exited = once(lab, 'exit');
  const [line] = (await once(createInterface({ input: lab.stdout }), 'line')) as [string];
  const { scscf, domain } = JSON.parse(line) as { scscf: string; domain: string };
  const ue = await UserEquipment.start({ identity: `sip:erin@${domain}`, proxy: scscf, transport: 'tcp' });
  const { registered, dataChannelsSupported } = await ue.register();
  assert.deepEqual([registered, dataChannelsSupported], [true, true]);
  await ue.close();
  lab.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});

test('imsdc lab refuses what it does not know', async () => {
  for (const args of [['--engine', 'steam'], ['--port', 'x'], ['--onec']]) {
    await assert.rejects(
      promisify(execFile)(process.execPath, [MAIN, 'lab', ...args]),
      (error: { code: number; stderr: string }) => {
        assert.equal(error.code, 64);
        assert.match(error.stderr, new RegExp(args[0]!.slice(2)));
        return true;
      },
    );
  }
});
