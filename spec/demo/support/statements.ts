import { database } from '../../../demo/database.js';

/** The statements that the database is sent while something is done. */
export async function statementsOf(action: () => PromiseLike<unknown>): Promise<string[]> {
  const statements: string[] = [];
  const { logger } = database;
  database.logger = Object.create(logger, {
    logQuery: { value: (statement: string) => statements.push(statement) },
  });
  try {
    await action();
  } finally {
    database.logger = logger;
  }
  return statements;
}
