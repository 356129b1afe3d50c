import { ImsdcError } from '../../errors.ts';
import { type Command, runProgram } from './program.ts';

export const NFT: Command = ['nft'];

/** Runs nft with `script` on its standard input; resolves with what it prints. Rejects with MF_NFT. */
export async function nft(command: Command, options: readonly string[], script = ''): Promise<string> {
  const { output, problem } = await runProgram(command, options, script);
  if (problem !== undefined) throw new ImsdcError('MF_NFT', { problem });
  return output;
}

/** In the answer to `nft -j list tables`, which has to name it. */
export function tableHandle(listing: string, family: string, table: string): number {
  const { nftables } = JSON.parse(listing) as {
    nftables: readonly { table?: { name: string; family: string; handle: number } }[];
  };
  return nftables.find((one) => one.table?.name === table && one.table.family === family)!.table!.handle;
}
