import { Ajv } from 'ajv';
import Type, { type Static } from 'typebox';
import { ImsdcError } from '../../errors.ts';
import { Anchor } from '../../services/ndcar.ts';
import { isVersion } from './version.ts';

/** Our member of `properties.json`: what the app list says of the application. Handsets ignore it. */
export const ImsdcProperties = Type.Object(
  {
    /** `root`: the mini-app that China Mobile handsets fetch at `/` to show the list. */
    role: Type.Optional(Type.Union([Type.Literal('application'), Type.Literal('root')])),
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    description: Type.Optional(Type.String({ maxLength: 256 })),
    /** A file of the package (png, jpg, svg, webp), or a data: URI. */
    icon: Type.Optional(Type.String({ minLength: 1, maxLength: 64_000 })),
    phase: Type.Optional(Type.Union([Type.Literal('PRECALL'), Type.Literal('INCALL')])),
    /** 1 audio calls, 2 video calls, 3 both. */
    supportScene: Type.Optional(Type.Union([Type.Literal(1), Type.Literal(2), Type.Literal(3)])),
    qosHint: Type.Optional(Type.String({ maxLength: 128, pattern: '^[A-Za-z0-9=.;:,_-]*$' })),
    autolaunch: Type.Optional(Type.Boolean()),
    autoload: Type.Optional(Type.Boolean()),
    worksWithoutPeerDc: Type.Optional(Type.Boolean()),
    endpoint: Type.Optional(Type.Union([Type.Literal('UE'), Type.Literal('SERVER')])),
    anchor: Type.Optional(Anchor),
  },
  { additionalProperties: false },
);

/** The members of `properties.json` that we read (miniapp-runtime.md 1.2); others are the handset's. */
const Properties = Type.Object({
  appId: Type.String({ minLength: 1, maxLength: 64 }),
  version: Type.String({ minLength: 1, maxLength: 32 }),
  /** May be empty, must be there: without it a handset never loads the page. */
  permissions: Type.Array(Type.String({ maxLength: 128 }), { maxItems: 64 }),
  imsdc: Type.Optional(ImsdcProperties),
});

/** What the repository knows of one version of an application. */
export interface Manifest {
  readonly applicationId: string;
  readonly version: string;
  readonly role: 'application' | 'root';
  readonly name: string;
  readonly description: string;
  /** data: URI, or null. */
  readonly icon: string | null;
  readonly phase: 'PRECALL' | 'INCALL';
  readonly supportScene: 1 | 2 | 3;
  readonly qosHint: string;
  readonly autolaunch: boolean;
  readonly autoload: boolean;
  readonly worksWithoutPeerDc: boolean;
  readonly endpoint: 'UE' | 'SERVER';
  readonly anchor: Static<typeof Anchor> | null;
  readonly permissions: readonly string[];
}

/** The list with a hundred applications must stay a sensible download. */
const MAX_ICON_BYTES = 32 * 1024;
const ICON_TYPES: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  svg: 'image/svg+xml',
  webp: 'image/webp',
};

const validate = new Ajv({ strict: false, allErrors: false }).compile<Static<typeof Properties>>(Properties);

/** Reads the manifest of a package. Throws DCAR_PACKAGE_INVALID naming file and member, DCAR_APPLICATION_ID. */
export function readManifest(files: ReadonlyMap<string, Buffer>, source: string): Manifest {
  const refuse = (problem: string) => new ImsdcError('DCAR_PACKAGE_INVALID', { source, problem });
  if (!files.has('index.html')) throw refuse(missing(files, 'index.html'));
  const text = files.get('properties.json');
  if (!text) throw refuse(missing(files, 'properties.json'));
  let properties: unknown;
  try {
    properties = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch (error) {
    throw refuse(`properties.json: ${(error as Error).message}`);
  }
  if (!validate(properties)) {
    const [error] = validate.errors ?? [];
    throw refuse(`properties.json${error?.instancePath ?? ''} ${error?.message ?? 'is not valid'}`);
  }
  const { appId, version, permissions, imsdc = {} } = properties;
  requireApplicationId(appId);
  if (!isVersion(version)) throw refuse(`properties.json/version "${version}" is not dotted numbers such as 1.0.8`);
  return {
    applicationId: appId,
    version,
    role: imsdc.role ?? 'application',
    name: imsdc.name ?? appId,
    description: imsdc.description ?? '',
    icon: imsdc.icon === undefined ? null : iconOf(imsdc.icon, files, refuse),
    phase: imsdc.phase ?? 'INCALL',
    supportScene: imsdc.supportScene ?? 3,
    // Absent, it crashes the control channel of the China Telecom SDK (miniapp-runtime.md 2.2).
    qosHint: imsdc.qosHint ?? 'loss=0.0002;latency=600',
    autolaunch: imsdc.autolaunch ?? false,
    autoload: imsdc.autoload ?? false,
    worksWithoutPeerDc: imsdc.worksWithoutPeerDc ?? false,
    endpoint: imsdc.endpoint ?? 'UE',
    anchor: imsdc.anchor ?? null,
    permissions,
  };
}

/** Labels are split at `_` (miniapp-runtime.md 2.2), and the id is a query value and a path element. */
export function requireApplicationId(applicationId: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/.test(applicationId)) return;
  const problem = applicationId.includes('_')
    ? 'must not contain "_", at which channel labels are split'
    : 'must be 1 to 64 letters, digits, dots or hyphens';
  throw new ImsdcError('DCAR_APPLICATION_ID', { applicationId: applicationId.slice(0, 64), problem });
}

/** People often zip the folder instead of its content: say so. */
function missing(files: ReadonlyMap<string, Buffer>, name: string): string {
  const nested = [...files.keys()].find((path) => path.endsWith(`/${name}`));
  return nested
    ? `no ${name} at top level; found ${nested}: pack the content of the folder`
    : `no ${name} at top level`;
}

function iconOf(icon: string, files: ReadonlyMap<string, Buffer>, refuse: (problem: string) => Error): string {
  if (/^data:image\/[a-z+.-]+;base64,[A-Za-z0-9+/=]+$/.test(icon)) {
    if (icon.length > MAX_ICON_BYTES * 1.4) throw refuse(`the icon is larger than ${MAX_ICON_BYTES} bytes`);
    return icon;
  }
  const content = files.get(icon);
  const type = ICON_TYPES[icon.split('.').at(-1)?.toLowerCase() ?? ''];
  if (!content || !type) throw refuse(`properties.json/imsdc/icon: no image ${icon.slice(0, 100)} in the package`);
  if (content.length > MAX_ICON_BYTES) throw refuse(`the icon is larger than ${MAX_ICON_BYTES} bytes`);
  return `data:${type};base64,${content.toString('base64')}`;
}
