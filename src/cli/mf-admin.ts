import { requireConfig } from '../config/load.ts';
import { Config } from '../config/schema.ts';
import { ImsdcError } from '../errors.ts';
import { CONFIG_OPTION, configFile } from './command-line.ts';

/** Options of every command that asks an MF that runs. */
export const ADMIN_OPTIONS = {
  ...CONFIG_OPTION,
  admin: { type: 'string' },
} as const;

export const ADMIN_HELP = `  --admin URL     its admin listener; default: admin.address and admin.mfPort of the configuration
  --config FILE   default: imsdc.yaml, where it exists`;

/** A page of its admin listener. Throws MF_ADMIN with what it says, or that it does not answer. */
export async function fetchPage(
  path: string,
  query: Readonly<Record<string, string>>,
  values: { readonly admin?: string; readonly config?: string },
  signal?: AbortSignal,
): Promise<Response> {
  const url = new URL(path, values.admin ?? configuredUrl(values.config));
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const response = await fetch(url, { signal }).catch((error: Error) => {
    const { message } = (error.cause as Error | undefined) ?? error;
    throw new ImsdcError('MF_ADMIN', { url: url.origin, problem: message });
  });
  if (response.ok) return response;
  const { message } = (await response.json()) as { message?: string };
  throw new ImsdcError('MF_ADMIN', { url: url.origin, problem: message ?? `HTTP ${response.status}` });
}

function configuredUrl(file: string | undefined): string {
  const { admin } = requireConfig<Config>(configFile(file), Config);
  const host = admin.address.includes(':') ? `[${admin.address}]` : admin.address;
  return `http://${host}:${admin.mfPort}`;
}
