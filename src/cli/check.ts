import { explainSchema } from '../config/explain.ts';
import { loadConfig } from '../config/load.ts';
import { Config } from '../config/schema.ts';
import { CONFIG_OPTION, configFile, readCommandLine, writeOut } from './command-line.ts';

const HELP = `imsdc check [--config imsdc.yaml] [--explain] [--print]

Reads the configuration and says what is wrong with it, with file, line and key. Exit status 0: nothing is.

  --explain   every key with its type, default and meaning
  --print     the configuration as it would be used, defaults and environment included (JSON)
`;

export async function checkCommand(argv: string[]): Promise<number> {
  const line = readCommandLine(argv, {
    help: HELP,
    options: {
      ...CONFIG_OPTION,
      explain: { type: 'boolean', default: false },
      print: { type: 'boolean', default: false },
    },
  });
  if (line === undefined) return 0;
  const { values } = line;
  if (values.explain) {
    writeOut(`${explainSchema(Config)}\n`);
    return 0;
  }
  const file = configFile(values.config);
  const { config, problems } = loadConfig<Config>(file, Config);
  for (const { file: where, line: at, key, problem } of problems) {
    process.stderr.write(`${[where, ...(at > 0 ? [at] : [])].join(':')}: ${key}: ${problem}\n`);
  }
  if (problems.length > 0) return 78;
  if (values.print) writeOut(`${JSON.stringify(config, null, 2)}\n`);
  else process.stderr.write(`${file ?? 'the default configuration'} is in order\n`);
  return 0;
}
