import Type, { type Static } from 'typebox';
import { SbiTls } from '../sbi/tls.ts';

/** The `dc1` part of the configuration: DC1 between an IMS AS and a DCSF that are not in one process. */
export const Dc1Config = Type.Object({
  listen: Type.Optional(
    Type.Object(
      {
        address: Type.String({ default: '127.0.0.1', description: 'off loopback only with dc1.tls' }),
        port: Type.Integer({ default: 8093, minimum: 0, maximum: 65_535, description: '0 = any free port' }),
      },
      { description: 'serve our end of DC1 over HTTP/2; needed when one of the roles ims-as and dcsf is elsewhere' },
    ),
  ),
  notificationUri: Type.Optional(
    Type.String({ pattern: '^https?://[^?#]+', description: 'of a DCSF elsewhere: where session events are posted' }),
  ),
  imsAsApiRoot: Type.Optional(
    Type.String({ pattern: '^https?://[^?#]+$', description: 'of an IMS AS elsewhere: apiRoot of its nimsas-mc' }),
  ),
  generation: Type.Union([Type.Literal('rel19'), Type.Literal('alpha')], {
    default: 'rel19',
    description: 'schemas that a DCSF elsewhere follows',
  }),
  tls: Type.Optional(SbiTls),
});
export type Dc1Config = Static<typeof Dc1Config>;
