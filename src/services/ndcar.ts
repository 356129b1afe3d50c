import Type, { type Static } from 'typebox';

/**
 * DC5, DCSF -> DCAR (the standard leaves it open): what a replacement-URL token means. The DCSF never waits for the
 * repository: it hands grants over and goes on with the call; the repository answers content requests by token alone.
 */

/** How a UE wants its list and packages; `auto` looks at the request (ue-side.md 6.2). */
export const HandsetProfile = Type.Union([
  Type.Literal('auto'),
  Type.Literal('china-mobile'),
  Type.Literal('china-telecom'),
  Type.Literal('browser'),
]);
export type HandsetProfile = Static<typeof HandsetProfile>;

/** One token: per call and stream, unguessable (R27). Everything the repository may know of who is asking. */
export const Grant = Type.Object({
  /** Path element of the replacement URL: at least 128 random bits. */
  token: Type.String({ minLength: 22, maxLength: 128, pattern: '^[A-Za-z0-9._~-]+$' }),
  sessionId: Type.String({ minLength: 1, maxLength: 128 }),
  /** 0, or 100 for the UE of the other network. */
  streamId: Type.Integer({ minimum: 0, maximum: 65534 }),
  /** Public identity of the user whose UE fetches over this stream. */
  subscriber: Type.String({ maxLength: 512 }),
  peerSubscriber: Type.Optional(Type.String({ maxLength: 512 })),
  /** `own`: our served user fetches. `remote`: the far user fetches from our network (ids 100/110). */
  network: Type.Union([Type.Literal('own'), Type.Literal('remote')]),
  /** Which applications may be listed and fetched. */
  applications: Type.Union([Type.Literal('*'), Type.Array(Type.String({ maxLength: 256 }), { maxItems: 1024 })]),
  /** Becomes `ifPeerSupportDC` of the China Telecom list. */
  peerSupportsDc: Type.Boolean(),
  profile: HandsetProfile,
  /** Epoch ms. */
  expiresAtMs: Type.Integer({ minimum: 0 }),
});
export type Grant = Static<typeof Grant>;

/** Where an application channel between two UEs runs: past the MF, through it decrypted, or through it as datagrams. */
export const Anchor = Type.Union([Type.Literal('none'), Type.Literal('e2DCe'), Type.Literal('e2e')]);
export type Anchor = Static<typeof Anchor>;

/** What the DCSF needs to know of a published application. */
export const CatalogueEntry = Type.Object({
  applicationId: Type.String({ minLength: 1, maxLength: 256 }),
  /** The package's wish; the operator's policy overrides it. */
  anchor: Type.Optional(Anchor),
});
export type CatalogueEntry = Static<typeof CatalogueEntry>;

/** One batch; revocations are applied after grants. An empty batch is a heartbeat. */
export const GrantBatch = Type.Object({
  grant: Type.Array(Grant, { maxItems: 1000 }),
  revoke: Type.Array(Type.String({ maxLength: 128 }), { maxItems: 1000 }),
});
export type GrantBatch = Static<typeof GrantBatch>;

export const GrantBatchResult = Type.Object({
  /** Changes when the repository process restarts and has forgotten its grants: the client then sends them all again. */
  bootId: Type.String({ maxLength: 64 }),
  accepted: Type.Integer({ minimum: 0 }),
  /** Table full or already expired. */
  refused: Type.Integer({ minimum: 0 }),
  applications: Type.Array(CatalogueEntry, { maxItems: 10_000 }),
});
export type GrantBatchResult = Static<typeof GrantBatchResult>;

/** What the DCSF sees of the repository. Nothing here blocks, rejects or throws. */
export interface GrantPort {
  grant(grants: readonly Grant[]): void;
  revoke(tokens: readonly string[]): void;
  /** What these tokens open, as long as they are not revoked; for a DCSF that keeps its sessions over a restart. */
  granted?(tokens: readonly string[]): readonly Grant[];
  /** Published applications as last heard; empty until the repository has answered once. */
  applications(): ReadonlyMap<string, CatalogueEntry>;
}
