import type { Caller } from './caller.ts';
import { isAllowed, refusalOf, type OutcomeOverrides } from './outcomes.ts';

const shownMax = 100;

/**
 * Lets a model through that the caller may use. A caller who may use certain models only has to name one.
 * @param model null when the request names none
 * @throws GatewayError `model_not_allowed`
 */
export function authorizeModel(caller: Caller, model: string | null, overrides: OutcomeOverrides = {}): void {
  if (caller.allowedModels === null) return;
  if (model !== null && caller.allowedModels(model)) return;
  if (isAllowed('model_denied', overrides)) return;
  const message =
    model === null
      ? 'This API key may use certain models only: name one as "model".'
      : `This API key may not use the model ${JSON.stringify(model.slice(0, shownMax))}.`;
  throw refusalOf('model_denied', overrides, { message, about: caller });
}
