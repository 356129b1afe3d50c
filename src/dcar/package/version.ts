/** Dotted numbers, as China Telecom handsets name a directory by it and compare it (miniapp-runtime.md 1.4). */
export function isVersion(text: string): boolean {
  return /^\d{1,9}(\.\d{1,9}){0,4}$/.test(text);
}

/** < 0, 0, > 0: number by number; a missing part counts as 0. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
