import { embeddedCommand } from '../../../src/mf/engine/options.ts';
import { engineContract } from './suite.ts';

engineContract('embedded', embeddedCommand());
