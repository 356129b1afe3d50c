/**
 * `node sipp/build.ts [--check]`: writes `scenarios/*.xml` from the pairs. The XML is committed, so that a lab runs it
 * with bare `sipp`; the description is TypeScript, so that sixty scripts cannot drift apart.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PAIRS } from './pairs/index.ts';
import { scenarioXml } from './script/xml.ts';

const SCENARIOS = resolve(import.meta.dirname, 'scenarios');

/** File name -> XML, of every end of every pair. */
export function scenarioFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const pair of PAIRS) {
    files.set(`${pair.name}.uac.xml`, scenarioXml(pair, 'uac'));
    if (pair.uas !== undefined) files.set(`${pair.name}.uas.xml`, scenarioXml(pair, 'uas'));
  }
  return files;
}

/** Names of files in the folder that are missing, differ, or belong to no pair. */
export function outdatedFiles(): string[] {
  const wanted = scenarioFiles();
  const found = existsSync(SCENARIOS) ? readdirSync(SCENARIOS) : [];
  const changed = [...wanted].filter(
    ([name, xml]) => !found.includes(name) || readFileSync(join(SCENARIOS, name), 'utf8') !== xml,
  );
  return [...changed.map(([name]) => name), ...found.filter((name) => !wanted.has(name))].sort();
}

if (import.meta.main) {
  const outdated = outdatedFiles();
  if (process.argv.includes('--check')) {
    if (outdated.length > 0) {
      process.stderr.write(`out of date, run "node sipp/build.ts": ${outdated.join(', ')}\n`);
      process.exitCode = 1;
    }
  } else {
    mkdirSync(SCENARIOS, { recursive: true });
    const wanted = scenarioFiles();
    for (const name of outdated) {
      const xml = wanted.get(name);
      if (xml === undefined) rmSync(join(SCENARIOS, name));
      else writeFileSync(join(SCENARIOS, name), xml);
    }
  }
}
