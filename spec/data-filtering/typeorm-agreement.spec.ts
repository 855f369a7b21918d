import { itAgrees } from './agreement.js';
import { TypeormStore } from './typeorm-store.js';

itAgrees(new TypeormStore());
