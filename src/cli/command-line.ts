import { existsSync } from 'node:fs';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { ImsdcError } from '../errors.ts';

export type Write = (text: string) => void;

export const writeOut: Write = (text) => void process.stdout.write(text);

/** `help`: the text of --help. `words`: arguments that are no options may be given. */
export interface CommandLine<T extends ParseArgsOptionsConfig> {
  readonly help: string | (() => string);
  readonly options: T;
  readonly words?: boolean;
  readonly write?: Write;
}

/** Undefined: --help (-h) was asked for, and has been written. Throws USAGE for an option that does not exist or fit. */
export function readCommandLine<const T extends ParseArgsOptionsConfig>(
  argv: string[],
  { help, options, words = false, write = writeOut }: CommandLine<T>,
) {
  const { values, positionals } = parsed(argv, options, words);
  if ('help' in values) {
    write(typeof help === 'string' ? help : help());
    return undefined;
  }
  return { values, positionals };
}

function parsed<const T extends ParseArgsOptionsConfig>(argv: string[], options: T, words: boolean) {
  try {
    const help = { type: 'boolean', short: 'h' } as const;
    return parseArgs({ args: argv, allowPositionals: words, options: { ...options, help } as T });
  } catch (error) {
    throw usage(error instanceof Error ? error.message.split('\n', 1)[0]! : String(error));
  }
}

export function usage(problem: string): ImsdcError {
  return new ImsdcError('USAGE', { problem: `${problem} (see --help)` });
}

/** Throws USAGE. */
export function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw usage(`--${option} ${text} is not a whole number`);
  return Number(text);
}

/** 0 is any free one. Throws USAGE. */
export function portNumber(option: string, text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw usage(`--${option} ${text} is not a port`);
  return Number(text);
}

/** Throws USAGE. */
export function oneOf<const T extends string>(option: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((one) => one === text);
  if (choice === undefined) throw usage(`--${option} ${text}: one of ${choices.join(', ')}`);
  return choice;
}

export const CONFIG_OPTION = { config: { type: 'string', short: 'c' } } as const;

/** The configuration file: that of --config, else imsdc.yaml where it exists. Undefined: all defaults. */
export function configFile(named: string | undefined): string | undefined {
  return named ?? (existsSync('imsdc.yaml') ? 'imsdc.yaml' : undefined);
}
