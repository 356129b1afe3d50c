import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ImsdcError } from '../../errors.ts';
import type { ScriptSession } from './session.ts';

/** What one command's line says, once read. */
export interface CommandArguments {
  readonly positionals: readonly string[];
  readonly text: (name: string) => string | undefined;
  readonly texts: (name: string) => readonly string[];
  /** Throws USAGE when the option is there and is no whole number. */
  readonly number: (name: string) => number | undefined;
  readonly flag: (name: string) => boolean;
}

/** One word of the script language. The table of them is the reference: `imsdc ue --help` prints it. */
export interface Command {
  readonly name: string;
  /** After the name. */
  readonly usage: string;
  readonly help: string;
  /** Least and most positionals. */
  readonly positionals: readonly [number, number];
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  /** Resolves with the details of the result line. */
  run(session: ScriptSession, args: CommandArguments): Promise<Readonly<Record<string, unknown>>>;
}

/** Throws USAGE with the command's usage when `words` do not fit it. */
export function readArguments(command: Command, words: readonly string[]): CommandArguments {
  const usage = `${command.name} ${command.usage}`.trim();
  const { values, positionals } = parse(command, words, usage);
  const [least, most] = command.positionals;
  if (positionals.length < least || positionals.length > most)
    throw new ImsdcError('USAGE', { problem: `usage: ${usage}` });
  const texts = (name: string) => [values[name] ?? []].flat().filter((value) => typeof value === 'string');
  return {
    positionals,
    texts,
    text: (name) => texts(name)[0],
    flag: (name) => values[name] === true,
    number: (name) => {
      const [value] = texts(name);
      if (value !== undefined && !/^\d{1,12}$/.test(value)) {
        throw new ImsdcError('USAGE', { problem: `--${name} ${value} is not a whole number (usage: ${usage})` });
      }
      return value === undefined ? undefined : Number(value);
    },
  };
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

function parse(command: Command, words: readonly string[], usage: string): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { timeout: { type: 'string' }, ...command.options },
    });
    return { values: values as Values, positionals };
  } catch (error) {
    const problem = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new ImsdcError('USAGE', { problem: `${problem} (usage: ${usage})` });
  }
}

/** A stream id as a positional. Throws USAGE. */
export function streamIdOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_534) {
    throw new ImsdcError('USAGE', { problem: `'${text}' is not a stream id (0..65534)` });
  }
  return Number(text);
}
