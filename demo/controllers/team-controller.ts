import { AuthorizedQuery } from 'koa-oso/routing-controllers';
import { Get, JsonController, QueryParams } from 'routing-controllers';
import type { SelectQueryBuilder } from 'typeorm';
import { Team } from '../entities/team.js';
import { Paging, pageOf } from '../pages.js';
import { teamView } from '../views.js';

@JsonController('/teams')
export class TeamController {
  /** The teams that whoever asks leads, and those within them. */
  @Get()
  async list(
    @AuthorizedQuery(Team, { action: 'read' }) readable: SelectQueryBuilder<Team>,
    @QueryParams({ type: Paging }) paging: Paging,
  ) {
    readable
      .innerJoinAndSelect('Team.organization', 'organization')
      .leftJoinAndSelect('Team.parent', 'parent')
      .innerJoinAndSelect('Team.lead', 'lead');
    const { rows, ...page } = await pageOf(readable.orderBy('Team.id', 'ASC'), paging);
    return { teams: rows.map(teamView), ...page };
  }
}
