/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/recognise.h"
#include "base/checked.h"
#include "formats/format.h"
#include "plan/families.h"
#include <stdio.h>
#include <string.h>

/* The width of the text that the cross-attention reads: the last dimension of the matrix that makes its keys. */
static const char *const width_suffixes[] = { ".attn2.to_k.weight", ".attn2.to_k.down" /* Control-LoRA */ };

struct sign {
    uint64_t number;
    const char *family;
};
static const struct sign widths[] = { { 768, "sd1" }, { 1024, "sd2" }, { 2048, "sdxl" } };
/* Adapters shuffle the pixels of a hint of one or three channels into blocks: 8 by 8 for SD1.x, 16 by 16 for SDXL. */
static const struct sign hints[] = { { 64, "sd1" }, { 192, "sd1" }, { 256, "sdxl" }, { 768, "sdxl" } };

static const char *family_of(const struct sign *signs, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (signs[i].number == number)
            return signs[i].family;
    return NULL;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), n = strlen(suffix);
    return length >= n && memcmp(name + length - n, suffix, n) == 0;
}

static bool is_cross_attention(const struct dt2_tensor *tensor)
{
    for (size_t i = 0; i < DT2_COUNT(width_suffixes); i++)
        if (tensor->rank >= 2 && ends_with(tensor->name, width_suffixes[i]))
            return true;
    return false;
}

/*
 * The family by the width on which all cross-attentions agree: those that the network reads, where any is; NULL when they
 * do not, or there is none.
 */
static const char *family_by_width(const struct dt2_file *file, const struct dt2_network *network)
{
    uint64_t width[2] = { 0, 0 }; /* of the network's own, and of what else is in the file */
    bool differ[2] = { false, false };
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        if (!is_cross_attention(tensor))
            continue;
        bool other = !dt2_network_reads(network, tensor->name);
        differ[other] |= width[other] && width[other] != tensor->shape[1];
        width[other] = tensor->shape[1];
    }
    bool other = width[0] == 0;
    return differ[other] ? NULL : family_of(widths, DT2_COUNT(widths), width[other]);
}

/* -- what wraps a network ---------------------------------------------------------------------------------------- */

/* Names of modules and keys around a network: of data-parallel training, compilers, trainers, pipelines. */
static const char *const wrappers[] = { "module", "_orig_mod", "model", "controlnet", "control_model", "state_dict",
                                        "_fsdp_wrapped_module", "_forward_module", "network", "net" };

#define CANDIDATES_MAX 8
#define WRAPPER_MAX 48 /* characters of all that is around a network: four words, say */
_Static_assert(WRAPPER_MAX <= DT2_PREFIX_MAX / 2, "room for what a rule says besides");

struct candidates {
    const char *names[CANDIDATES_MAX]; /* each begins with a prefix */
    size_t lengths[CANDIDATES_MAX];    /* ascending */
    size_t count;
};

/* The length of the wrapper that the name begins with, its dot included; 0: there is none. */
static size_t wrapper_length(const char *name)
{
    size_t length = strcspn(name, ".");
    for (size_t i = 0; name[length] && i < DT2_COUNT(wrappers); i++)
        if (strlen(wrappers[i]) == length && memcmp(wrappers[i], name, length) == 0)
            return length + 1;
    return 0;
}

static void add_candidate(struct candidates *candidates, const char *name, size_t length)
{
    size_t at = candidates->count;
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->lengths[i] == length && memcmp(candidates->names[i], name, length) == 0)
            return;
    if (at == CANDIDATES_MAX)
        return;
    for (; at > 0 && candidates->lengths[at - 1] > length; at--) {
        candidates->names[at] = candidates->names[at - 1];
        candidates->lengths[at] = candidates->lengths[at - 1];
    }
    candidates->names[at] = name;
    candidates->lengths[at] = length;
    candidates->count++;
}

/* What the network's names may begin with: nothing, or wrappers that some name of the file begins with. */
static struct candidates find_candidates(const struct dt2_file *file)
{
    struct candidates candidates = { { "" }, { 0 }, 1 };
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const char *name = dt2_file_tensor(file, i)->name;
        for (size_t more, length = 0; (more = wrapper_length(name + length)) && length + more <= WRAPPER_MAX;) {
            length += more;
            add_candidate(&candidates, name, length);
        }
    }
    return candidates;
}

/* -- the rules --------------------------------------------------------------------------------------------------- */

struct search {
    const struct dt2_file *file;
    const char *wrapper;
    size_t wrapper_length;
};

#define NAME_MAX_LENGTH 160 /* of a wrapper and a name of the rules */

/* `name` behind the wrapper. */
static char *wrapped(const struct search *search, const char *name, char out[NAME_MAX_LENGTH])
{
    snprintf(out, NAME_MAX_LENGTH, "%.*s%s", (int)search->wrapper_length, search->wrapper, name);
    return out;
}

static bool has(const struct search *search, const char *rule_name)
{
    char name[NAME_MAX_LENGTH];
    size_t length = strlen(wrapped(search, rule_name, name)), index;
    if (name[length - 1] != '*')
        return dt2_file_find(search->file, name, &index, NULL) == 0;
    for (size_t i = 0; i < dt2_file_tensor_count(search->file); i++)
        if (strncmp(dt2_file_tensor(search->file, i)->name, name, length - 1) == 0)
            return true;
    return false;
}

static bool matches(const struct search *search, const struct dt2_rule *rule)
{
    for (size_t i = 0; i < DT2_RULE_NAMES && rule->present[i]; i++)
        if (!has(search, rule->present[i]))
            return false;
    return !rule->absent || !has(search, rule->absent);
}

/* A dimension of the tensor of that name; 0 when there is no such. */
static uint64_t dimension(const struct search *search, const char *rule_name, size_t index)
{
    char name[NAME_MAX_LENGTH];
    size_t at;
    if (!rule_name || dt2_file_find(search->file, wrapped(search, rule_name, name), &at, NULL) < 0)
        return 0;
    const struct dt2_tensor *tensor = dt2_file_tensor(search->file, at);
    return index < tensor->rank ? tensor->shape[index] : 0;
}

static struct dt2_traits traits_of(const struct search *search, const struct dt2_rule *rule)
{
    struct dt2_traits traits = { .hint_channels = dimension(search, rule->hint, 1),
                                 .union_types = dimension(search, rule->types, 0),
                                 .differences = rule->differences && has(search, rule->differences) };
    traits.inpaint = rule->inpaint && traits.hint_channels == rule->inpaint;
    traits.needs_base = rule->needs_base || traits.differences;
    return traits;
}

static const char *resolve_family(const struct search *search, const struct dt2_network *network, const char *family)
{
    if (strcmp(family, DT2_BY_WIDTH) == 0)
        return family_by_width(search->file, network);
    if (strcmp(family, DT2_BY_HINT) == 0)
        return family_of(hints, DT2_COUNT(hints), network->traits.hint_channels);
    return family;
}

static struct dt2_network describe(const struct search *search, const struct dt2_rule *rule)
{
    struct dt2_network network = { .variant = rule->variant, .ordering = rule->ordering,
                                   .traits = traits_of(search, rule), .wrapper_length = search->wrapper_length,
                                   .reads = rule->reads, .differences = rule->differences };
    snprintf(network.prefix, sizeof network.prefix, "%.*s%s", (int)search->wrapper_length, search->wrapper,
             rule->under ? rule->under : "");
    network.family = resolve_family(search, &network, rule->family);
    return network;
}

struct dt2_network dt2_recognise(const struct dt2_file *file)
{
    struct candidates candidates = find_candidates(file);
    for (size_t i = 0; i < candidates.count; i++) {
        struct search search = { file, candidates.names[i], candidates.lengths[i] };
        for (size_t j = 0; j < dt2_rule_count; j++)
            if (matches(&search, &dt2_rules[j]))
                return describe(&search, &dt2_rules[j]);
    }
    return (struct dt2_network){ .ordering = DT2_ORDER_FILE };
}

bool dt2_file_is_network(const struct dt2_file *file)
{
    return dt2_recognise(file).variant != NULL;
}

/* -- what a network reads ---------------------------------------------------------------------------------------- */

const char *dt2_network_inner(const struct dt2_network *network, const char *name)
{
    size_t length = strlen(network->prefix);
    return strncmp(name, network->prefix, length) == 0 ? name + length : name;
}

static bool is_part(const char *const *parts, const char *name)
{
    size_t length = strcspn(name, ".");
    for (; *parts; parts++)
        if (strlen(*parts) == length && memcmp(*parts, name, length) == 0)
            return true;
    return false;
}

bool dt2_network_reads(const struct dt2_network *network, const char *name)
{
    if (!network->reads)
        return true;
    bool wrapped_so = strncmp(name, network->prefix, network->wrapper_length) == 0;
    if (network->differences && wrapped_so && strcmp(name + network->wrapper_length, network->differences) == 0)
        return true;
    const char *inner = dt2_network_inner(network, name);
    return (inner != name || !*network->prefix) && is_part(network->reads, inner);
}
