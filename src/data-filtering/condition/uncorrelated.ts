import type { Condition, RowVariable } from './condition.js';

/**
 * An EXISTS that speaks of nothing outside of it but the row that it starts from is an uncorrelated subquery in disguise: the
 * rows inside can be found once, for all rows outside.
 *
 *     EXISTS (repository r: r.id = issue.repositoryId AND r.organizationId IN (1, 2))
 *     issue.repositoryId IN (repository r: r.organizationId IN (1, 2))
 *
 * That matters inside of an OR. PostgreSQL makes a join of an EXISTS that stands alone; of another one it assumes that it runs
 * once for each row, which looks so dear that all is compiled first, and takes no index for the rest of the OR.
 *
 * @param to the row inside
 */
export function isUncorrelated(condition: Condition, to: RowVariable): boolean {
  const inside = new Set([to.number]);
  const speaksOfInside = (part: Condition): boolean => {
    switch (part.kind) {
      case 'always':
      case 'never':
        return true;
      case 'and':
      case 'or':
        return part.conditions.every(speaksOfInside);
      case 'compareColumns':
        return inside.has(part.left.row.number) && inside.has(part.right.row.number);
      case 'exists':
      case 'notExists':
        if (!inside.has(part.from.number)) return false;
        inside.add(part.to.number);
        return speaksOfInside(part.condition);
      case 'inRows':
        return part.columns.every(({ row }) => inside.has(row.number));
      case 'reaches':
      case 'reachesNone':
        return part.key.every(({ row }) => inside.has(row.number));
      default:
        return 'column' in part && inside.has(part.column.row.number);
    }
  };
  return speaksOfInside(condition);
}

/**
 * Whether a condition holds of few rows, as far as one can tell: each of its alternatives asks for a value that is known, and
 * that tells more than yes or no. The roles of a user are few, what is public is not.
 */
export function isOfFew(condition: Condition): boolean {
  switch (condition.kind) {
    case 'never':
      return true;
    case 'and':
      return condition.conditions.some(isOfFew);
    case 'or':
      return condition.conditions.every(isOfFew);
    case 'compare':
      return (
        condition.operator === '=' &&
        condition.negated !== true &&
        tellsMuch(condition.column.field.type.kind)
      );
    case 'inRows':
      return true;
    case 'in':
      return tellsMuch(condition.column.field.type.kind);
    case 'exists':
      return isOfFew(condition.condition);
    default:
      return false;
  }
}

function tellsMuch(kind: string): boolean {
  return kind !== 'boolean' && kind !== 'enum';
}
