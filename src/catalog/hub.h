/* SPDX-License-Identifier: BSD-3-Clause */
/* Models in the local cache of the Hugging Face hub, by their ids. Nothing here uses a network. */
#ifndef DT2_CATALOG_HUB_H
#define DT2_CATALOG_HUB_H

#include <distorch2/error.h>

#define DT2_HUB_PREFIX "hf:"

/* The hub's cache: $HF_HUB_CACHE, $HF_HOME/hub, or ~/.cache/huggingface/hub. NULL without memory. */
char *dt2_hub_cache(void);
/* Whether the text could be an id, with or without the prefix: "USER/NAME" or "USER/NAME/FILE". */
bool dt2_hub_is_id(const char *text);
/*
 * The file or folder of a model that was downloaded: the one that is named, else the only one that there is. Errors:
 * DT2_ENOENT when the cache does not have it, or has several, which are listed; DT2_EFAILED for a download that is
 * not complete, naming what is missing; DT2_ENOMEM. *known tells whether the cache has anything of that id.
 */
int dt2_hub_resolve(const char *id, char **path, bool *known, struct dt2_error *err);

#endif
