// Checks that `npm ci` works from package-lock.json on every platform, from every registry and on the oldest Node that is promised.
import { execSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import semver from 'semver';

const root = new URL('../', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const lock = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8'));
const oldestNode = semver.minVersion(manifest.engines.node);
const faults = [];

for (const [path, { version, resolved, integrity, engines, optionalDependencies }] of Object.entries(
  lock.packages,
)) {
  if (path === '') continue;
  if (resolved !== undefined) faults.push(`${path} names a registry`);
  if (integrity === undefined) faults.push(`${path} has no integrity`);
  if (engines?.node !== undefined && !semver.satisfies(oldestNode, engines.node)) {
    faults.push(`${path} ${version} wants Node ${engines.node}, and ${oldestNode} is promised`);
  }
  for (const name of Object.keys(optionalDependencies ?? {})) {
    // Without them `npm ci` fails on the other platforms, and with some versions of npm on all.
    const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
    if (!places.some(place => place in lock.packages)) faults.push(`${path} lacks its optional ${name}`);
  }
}
if (faults.length > 0) throw new Error(`package-lock.json:\n${faults.join('\n')}`);

for (const [os, cpu] of [
  ['linux', 'x64'],
  ['linux', 'arm64'],
  ['darwin', 'arm64'],
  ['win32', 'x64'],
]) {
  execSync(`npm ci --dry-run --ignore-scripts --no-audit --no-fund --os=${os} --cpu=${cpu}`, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  console.log(`ok: npm ci on ${os} ${cpu}`);
}
