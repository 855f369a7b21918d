import { itAgrees } from '../support/agreement.js';
import { TypeormStore } from '../support/typeorm-store.js';

itAgrees(new TypeormStore());
