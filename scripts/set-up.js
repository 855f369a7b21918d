// Installs what package-lock.json says, unless that is installed already. `npm install` would do the same, but another
// version of npm writes the lock file in another way; `npm ci` never writes it.
import { execSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const installed = new URL('node_modules/.set-up', root);
const hash = createHash('sha256')
  .update(readFileSync(new URL('package-lock.json', root)))
  .digest('hex');
const wanted = `${hash} ${process.platform} ${process.arch}\n`;

if (!existsSync(installed) || readFileSync(installed, 'utf8') !== wanted) {
  execSync('npm ci --no-audit --no-fund --loglevel=error', { cwd: root, stdio: 'inherit' });
  writeFileSync(installed, wanted);
}
