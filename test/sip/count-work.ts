/** Characters that the string methods used by the scanners have looked at while `run` ran. */
export function countWork(run: () => void): number {
  let work = 0;
  const prototype = String.prototype as unknown as Record<string, (...args: never[]) => unknown>;
  const patched: [string, (...args: never[]) => unknown][] = [];
  const patch = (name: string, cost: (text: string, args: never[], result: unknown) => number): void => {
    const original = prototype[name]!;
    patched.push([name, original]);
    prototype[name] = function (this: string, ...args: never[]): unknown {
      const result = original.apply(this, args);
      work += cost(this, args, result);
      return result;
    };
  };
  const scanned = (text: string, args: never[], result: unknown): number => {
    const from = Number(args[1] ?? 0);
    return (result as number) < 0 ? text.length - from : (result as number) - from + 1;
  };
  patch('charCodeAt', () => 1);
  patch('indexOf', scanned);
  patch('includes', (text) => text.length);
  patch('startsWith', () => 1);
  for (const name of ['replace', 'split', 'trim', 'toLowerCase', 'toUpperCase', 'search'])
    patch(name, (text) => text.length);
  const regexp = RegExp.prototype as unknown as Record<string, (text: string) => unknown>;
  const { test: originalTest } = regexp;
  regexp.test = function (this: RegExp, text: string): unknown {
    work += text.length;
    return originalTest!.call(this, text);
  };
  try {
    run();
  } finally {
    for (const [name, original] of patched) prototype[name] = original;
    regexp.test = originalTest!;
  }
  return work;
}
