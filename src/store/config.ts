import Type, { type Static } from 'typebox';

/** The `state` part of the configuration: what a restarted `imsdc dcsf` finds again. */
export const StateConfig = Type.Object({
  dir: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'directory in which calls that are up are kept over a restart; absent = they are not kept',
    }),
  ),
  writeEveryMs: Type.Integer({
    default: 100,
    minimum: 10,
    maximum: 60_000,
    description: 'what has changed is written this often, ms; a call that is shorter is never written',
  }),
  maxPending: Type.Integer({
    default: 200_000,
    minimum: 100,
    description: 'changes that wait for the disk; above it everything is written anew once it keeps up again',
  }),
});
export type StateConfig = Static<typeof StateConfig>;
