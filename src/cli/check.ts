import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { explainSchema } from '../config/explain.ts';
import { loadConfig } from '../config/load.ts';
import { Config } from '../config/schema.ts';

const HELP = `imsdc check [--config imsdc.yaml] [--explain] [--print]

Reads the configuration and says what is wrong with it, with file, line and key. Exit status 0: nothing is.

  --explain   every key with its type, default and meaning
  --print     the configuration as it would be used, defaults and environment included (JSON)
`;

export async function checkCommand(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      config: { type: 'string', short: 'c' },
      explain: { type: 'boolean', default: false },
      print: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || values.explain) {
    process.stdout.write(values.help ? HELP : `${explainSchema(Config)}\n`);
    return 0;
  }
  const file = values.config ?? (existsSync('imsdc.yaml') ? 'imsdc.yaml' : undefined);
  const { config, problems } = loadConfig<Config>(file, Config);
  for (const { file: where, line, key, problem } of problems) {
    process.stderr.write(`${[where, ...(line > 0 ? [line] : [])].join(':')}: ${key}: ${problem}\n`);
  }
  if (problems.length > 0) return 78;
  if (values.print) process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
  else process.stderr.write(`${file ?? 'the default configuration'} is in order\n`);
  return 0;
}
