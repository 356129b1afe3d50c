import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const directory = mkdtempSync(join(tmpdir(), 'imsdc-ue-'));
after(() => rmSync(directory, { recursive: true, force: true }));

interface Line {
  readonly event?: string;
  readonly result?: string;
  readonly ok?: boolean;
  readonly [detail: string]: unknown;
}

interface Finished {
  readonly code: number;
  readonly lines: readonly Line[];
  readonly stderr: string;
}

async function ue(...args: string[]): Promise<Finished> {
  const run = promisify(execFile)(process.execPath, [MAIN, 'ue', '--json', ...args], {
    env: { ...process.env, IMSDC_LOG: 'silent' },
  });
  const { stdout, stderr, code } = await run.then(
    (output) => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
  const lines = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
  return { code, lines, stderr };
}

/** A UE that takes its commands from standard input. */
class Interactive {
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: Line[] = [];
  readonly #waiting: { match: (line: Line) => boolean; resolve: (line: Line) => void; reject: (e: Error) => void }[] =
    [];

  constructor(...args: string[]) {
    this.process = spawn(process.execPath, [MAIN, 'ue', '--json', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.process.once('exit', (code) => {
      for (const { reject } of this.#waiting) reject(new Error(`imsdc ue ended with status ${code}`));
    });
    createInterface({ input: this.process.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as Line;
      this.lines.push(line);
      for (const waiting of this.#waiting) if (waiting.match(line)) waiting.resolve(line);
    });
  }

  write(...commands: string[]): void {
    for (const command of commands) this.process.stdin.write(`${command}\n`);
  }

  line(match: (line: Line) => boolean): Promise<Line> {
    const known = this.lines.find(match);
    if (known) return Promise.resolve(known);
    return new Promise((resolve, reject) => this.#waiting.push({ match, resolve, reject }));
  }

  /** Ends its input, which ends it. */
  async end(): Promise<number> {
    const exited = once(this.process, 'exit');
    this.process.stdin.end();
    return (await exited)[0] as number;
  }
}

describe('imsdc ue', { timeout: 60_000 }, () => {
  it('two processes call each other, talk and send a file; every line is JSON', async () => {
    const bob = new Interactive('--identity', 'sip:bob@ims.lab', '--data-channels', 'always');
    const { contact } = await bob.line(({ event }) => event === 'ready');
    const saved = join(directory, 'received.bin');
    bob.write('answer', 'wait channel 1000', 'receive 1000', `receive-file 1000 --save ${saved}`, 'wait ended');
    const content = randomBytes(150_000);
    const file = join(directory, 'sent.bin');
    writeFileSync(file, content);
    const alice = await ue(
      ...['--identity', 'sip:alice@ims.lab', '--data-channels', 'always'],
      ...['-c', `call ${contact} --no-bootstrap`, '-c', 'open 10000001 --bound-by label --name talk'],
      ...['-c', 'send 1000 "hello, Bob"', '-c', `send-file 1000 ${file}`, '-c', 'audio --packets 5', '-c', 'hangup'],
    );
    assert.equal(alice.code, 0);
    assert.deepEqual(
      alice.lines.filter(({ result }) => result).map(({ result, ok }) => [result, ok]),
      [
        ['call', true],
        ['open', true],
        ['send', true],
        ['send-file', true],
        ['audio', true],
        ['hangup', true],
      ],
    );
    const heard = await bob.line(({ result }) => result === 'receive');
    assert.deepEqual([heard.text, heard.kind], ['hello, Bob', 'text']);
    const taken = await bob.line(({ result }) => result === 'receive-file');
    assert.equal(taken.sha256, createHash('sha256').update(content).digest('hex'));
    assert.ok(readFileSync(saved).equals(content));
    assert.equal((await bob.line(({ result }) => result === 'wait' && true)).ok, true);
    assert.equal(await bob.end(), 0);
  });

  it('the end of its input is its end, and the call gets a BYE', async () => {
    const bob = new Interactive('--identity', 'sip:bob@ims.lab');
    const { contact } = await bob.line(({ event }) => event === 'ready');
    bob.write('answer');
    const alice = new Interactive('--identity', 'sip:alice@ims.lab');
    alice.write(`call ${contact}`);
    await alice.line(({ result }) => result === 'call');
    assert.equal(await alice.end(), 0);
    assert.deepEqual((await bob.line(({ event }) => event === 'ended')).by, 'peer');
    assert.equal(await bob.end(), 0);
  });

  it('a mistake is named with its usage; --keep-going goes on and still ends with its status', async () => {
    const mistakes = [
      ['cal sip:x@y', /there is no command 'cal'/],
      ['call', /usage: call URI/],
      ['call sip:x@y --odd', /--odd.*usage: call/s],
      ['hangup', /there is no call/],
      ['register --expires soon', /--expires soon is not a whole number/],
      ["send 1 'open", /is not closed/],
    ] as const;
    const { code, lines } = await ue(
      '--keep-going',
      ...mistakes.flatMap(([command]) => ['-c', command]),
      '-c',
      'status',
    );
    assert.equal(code, 64);
    const results = lines.filter(({ result }) => result);
    for (const [index, [, problem]] of mistakes.entries()) assert.match(String(results[index]?.problem), problem);
    assert.equal(results.at(-1)?.result, 'status');
  });

  it('without --keep-going nothing runs after a failure', async () => {
    const { code, lines } = await ue('-c', 'hangup', '-c', 'status');
    assert.equal(code, 64);
    assert.deepEqual(
      lines.filter(({ result }) => result).map(({ result, ok }) => [result, ok]),
      [['hangup', false]],
    );
  });

  it('wrong options are refused before anything starts', async () => {
    const wrong = [['--profile', 'nokia'], ['--transport', 'pigeon'], ['--nonsense']];
    for (const [index, { code, lines, stderr }] of (await Promise.all(wrong.map((args) => ue(...args)))).entries()) {
      assert.equal(code, 64);
      assert.deepEqual(lines, []);
      assert.match(stderr, new RegExp(wrong[index]![0]!.slice(2)));
    }
  });

  it('--help names every command', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'ue', '--help']);
    for (const word of [
      'register',
      'call URI',
      'answer',
      'download APPID',
      'open APPID',
      'send-file STREAM FILE',
      'renew SLOT',
      'quit',
    ]) {
      assert.ok(stdout.includes(word), word);
    }
  });
});
