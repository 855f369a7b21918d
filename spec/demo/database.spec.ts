import { expect } from 'chai';
import { DataSource } from 'typeorm';
import { database, openDatabase } from '../../demo/database.js';
import { User } from '../../demo/entities/user.js';
import { people } from '../../demo/seed.js';

describe('the database', () => {
  it('begins anew with the seeds whenever it is opened', async () => {
    for (let opened = 0; opened < 2; opened++) {
      await openDatabase();
      const names = (await database.manager.find(User, { order: { id: 'ASC' } })).map(({ name }) => name);
      await database.manager.insert(User, { name: 'Eve', email: 'eve@example.com', approvalLimitInCents: 0 });
      await database.destroy();
      expect(names).to.deep.equal(people.map(({ name }) => name));
    }
  });

  const url = process.env.DATABASE_URL;
  if (url) {
    it('keeps to its own schema of PostgreSQL', async () => {
      const other = await new DataSource({ type: 'postgres', url }).initialize();
      try {
        await other.query('CREATE TABLE IF NOT EXISTS public.koa_oso_neighbour AS SELECT 42 AS kept');
        const tables = () =>
          other.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
        const before: unknown = await tables();
        await openDatabase();
        await database.destroy();
        expect(await other.query('SELECT kept FROM public.koa_oso_neighbour')).to.deep.equal([{ kept: 42 }]);
        expect(await tables()).to.deep.equal(before);
      } finally {
        await other.query('DROP TABLE IF EXISTS public.koa_oso_neighbour');
        await other.destroy();
      }
    });
  }
});
