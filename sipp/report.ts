import type { PairResult } from './sipp.ts';

/** The table at the end of a run: a line per pair, then what went wrong. */
export function table(results: readonly PairResult[]): string {
  const width = Math.max(...results.map(({ name }) => name.length), 'script'.length);
  const rows = results.map(({ name, passed, calls, seconds, uac, uas }) =>
    [
      name.padEnd(width),
      passed ? 'pass  ' : 'FAIL  ',
      `${uac.successful}/${calls}`.padEnd(11),
      String(uac.retransmissions + uas.retransmissions).padEnd(15),
      seconds.toFixed(1),
    ].join('  '),
  );
  const calls = results.reduce((sum, result) => sum + result.uac.successful, 0);
  const passed = results.filter((result) => result.passed).length;
  return [
    `${'script'.padEnd(width)}  result  calls        retransmissions  seconds`,
    ...rows,
    `${passed} of ${results.length} pairs pass, ${calls} calls`,
    ...results.filter((result) => !result.passed).map(({ name, problems }) => `\n${name}: ${problems.join('\n')}`),
    '',
  ].join('\n');
}

/** For CI servers. */
export function junit(results: readonly PairResult[]): string {
  const cases = results.map(({ name, seconds, passed, problems }) => {
    const head = `  <testcase classname="sipp" name="${escaped(name)}" time="${seconds.toFixed(3)}"`;
    return passed ? `${head} />` : `${head}><failure>${escaped(problems.join('\n'))}</failure></testcase>`;
  });
  const failures = results.filter(({ passed }) => !passed).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="imsdc-sipp" tests="${results.length}" failures="${failures}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  // XML 1.0 has no way to write most control characters.
  return text.replace(/[&<>"]/g, (character) => entities[character]!).replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, '?');
}
