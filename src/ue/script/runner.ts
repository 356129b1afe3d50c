import { ImsdcError } from '../../errors.ts';
import { BOOTSTRAP_COMMANDS } from './bootstrap-commands.ts';
import { CALL_COMMANDS } from './call-commands.ts';
import { CHANNEL_COMMANDS } from './channel-commands.ts';
import { type Command, readArguments } from './command.ts';
import { nowMs } from './output.ts';
import type { ScriptSession } from './session.ts';
import { splitWords } from './tokens.ts';

export const COMMANDS: readonly Command[] = [...CALL_COMMANDS, ...BOOTSTRAP_COMMANDS, ...CHANNEL_COMMANDS];

/** A command that waits longer than this has failed, unless its line says `--timeout SECONDS` (0: wait for ever). */
const DEFAULT_TIMEOUT_S = 30;

export interface RunOptions {
  readonly session: ScriptSession;
  readonly lines: AsyncIterable<string> | Iterable<string>;
  /** Go on after a command that failed. */
  readonly keepGoing: boolean;
}

/** Runs a script line by line, one result line each. Resolves with the exit code: that of the first failure, or 0. */
export async function runScript({ session, lines, keepGoing }: RunOptions): Promise<number> {
  let exitCode = 0;
  for await (const line of lines) {
    if (line.trim() === 'quit') break;
    const failure = await runLine(session, line);
    if (failure === null) continue;
    exitCode ||= failure.entry.exit ?? 1;
    if (!keepGoing) break;
  }
  return exitCode;
}

async function runLine(session: ScriptSession, line: string): Promise<ImsdcError | null> {
  const startedMs = nowMs();
  let name = line.trim().split(/\s/, 1)[0] ?? '';
  try {
    const [word, ...words] = splitWords(line);
    if (word === undefined) return null;
    name = word;
    const command = COMMANDS.find((known) => known.name === word);
    if (!command)
      throw new ImsdcError('USAGE', { problem: `there is no command '${word}'; imsdc ue --help lists them` });
    const args = readArguments(command, words);
    const details = await inTime(command.run(session, args), args.number('timeout') ?? DEFAULT_TIMEOUT_S, line);
    const at = nowMs();
    session.output.write({ at, result: name, ok: true, ms: at - startedMs, ...details });
    return null;
  } catch (error) {
    const known =
      error instanceof ImsdcError ? error : new ImsdcError('UE_COMMAND', { problem: String(error) }, { cause: error });
    const at = nowMs();
    session.output.write({ at, result: name, ok: false, ms: at - startedMs, code: known.code, problem: known.message });
    return known;
  }
}

async function inTime<T>(work: Promise<T>, seconds: number, line: string): Promise<T> {
  if (seconds === 0) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ImsdcError('UE_TIMEOUT', { seconds, line })), seconds * 1000);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
