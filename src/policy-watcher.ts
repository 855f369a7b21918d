import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { ReloadOptions } from './reload-policy.js';

export interface WatchOptions extends ReloadOptions {
  /** The files of the policy, as `oso.loadFiles` takes them: all of them. */
  files: readonly string[];
}

/** What `koaOso.watchPolicy` gives. */
export interface PolicyWatcher {
  /** Ends the watching. A reload that has begun goes on to its end. */
  close(): void;
}

/** How long it has to be quiet before the files are read: editors write a file in several steps. */
const QUIET_MILLISECONDS = 100;

/**
 * Calls `reload` when one of the files has another text. Directories are watched and not files, for many editors write
 * a new file and rename it, and a file that is watched would be the old one.
 *
 * @param reload answers with a promise; a second one waits for the first
 * @param fail hears of what goes wrong; it does not throw
 * @throws an error of Node if a directory is not there
 */
export function watchFiles(
  files: readonly string[],
  reload: () => Promise<unknown>,
  fail: (error: unknown) => void,
): PolicyWatcher {
  const watchers: FSWatcher[] = [];
  let timer: NodeJS.Timeout | undefined;
  let known = textsOf(files);

  const look = (): void => {
    const before = known;
    known = textsOf(files);
    if (known !== before) reload().catch(fail);
  };
  const changed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(look, QUIET_MILLISECONDS);
  };
  const close = (): void => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };

  try {
    for (const directory of new Set(files.map(file => dirname(file)))) {
      watchers.push(watch(directory, { persistent: false }, changed).on('error', fail));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

/** The texts of files in one; of a file that cannot be read, why. */
function textsOf(files: readonly string[]): string {
  return JSON.stringify(
    files.map(file => {
      try {
        return readFileSync(file, 'utf8');
      } catch (error) {
        return { code: (error as NodeJS.ErrnoException).code };
      }
    }),
  );
}
