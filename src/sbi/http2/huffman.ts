/**
 * Code lengths of RFC 7541 appendix B, by octet. The code is canonical: codes of one length are consecutive, in the
 * order of their octets, so the lengths say it all.
 */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
];

/** Two cells per node: where bit 0 and bit 1 lead. Negative: the octet `-1 - value`. 0: nowhere, a code of EOS. */
const TREE = buildTree();

function buildTree(): Int16Array {
  const tree = new Int16Array(2 * 512);
  let nodes = 1;
  let code = 0;
  let length = 0;
  const octets = LENGTHS.map((_, octet) => octet).sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  for (const octet of octets) {
    code *= 2 ** (LENGTHS[octet]! - length);
    length = LENGTHS[octet]!;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const cell = 2 * node + (Math.floor(code / 2 ** bit) & 1);
      if (tree[cell] === 0) tree[cell] = nodes++;
      node = tree[cell]!;
    }
    tree[2 * node + (code & 1)] = -1 - octet;
    code++;
  }
  return tree;
}

/** Decodes a string to latin1 text (RFC 7541 5.2). Undefined: not Huffman coded, or padded with more than 7 bits. */
export function huffmanDecode(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  // The shortest codes have five bits.
  const out = Buffer.allocUnsafe(Math.floor(((end - start) * 8) / 5));
  let length = 0;
  let node = 0;
  let pending = 0;
  let onesOnly = true;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    for (let bit = 7; bit >= 0; bit--) {
      const one = (byte >> bit) & 1;
      const next = TREE[2 * node + one]!;
      if (next === 0) return undefined;
      if (next < 0) {
        out[length++] = -1 - next;
        node = 0;
        pending = 0;
        onesOnly = true;
      } else {
        node = next;
        pending++;
        onesOnly &&= one === 1;
      }
    }
  }
  // The end is padded with the first bits of EOS, which are ones.
  if (pending > 7 || !onesOnly) return undefined;
  return out.toString('latin1', 0, length);
}
