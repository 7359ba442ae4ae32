/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/auto.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "plan/cost.h"
#include "plan/predict.h"
#include "plan/predict_load.h"
#include <string.h>

#define EVALUATIONS 60000 /* times the number of blocks, of few; of more, less: a load waits for it */
#define EVALUATIONS_MANY 20000
#define EVALUATIONS_LEAST 12
#define EVALUATIONS_MOST 20000
#define ENOUGH 1e-4 /* of a time: what is closer is the same */
#define BEGINNINGS_MOST 16
#define EXCHANGES 8 /* blocks of another memory, behind one, that it is exchanged with in a large model */
#define FEW 24      /* blocks: then with all */
#define WANDERS 400
#define THROWN 3 /* blocks */
#define SETTLED_MOST 200 /* blocks */
#define ALL_MOST 600000  /* placements: those of twelve blocks in three memories */

/* -- donors ------------------------------------------------------------------------------------------------------ */

static double slowness(const struct dt2_input *input, size_t device)
{
    struct dt2_way way = dt2_cost_way(input->devices, device, input->compute);
    double slowest = way.legs[0].byte_ns;
    return way.leg_count > 1 && way.legs[1].byte_ns > slowest ? way.legs[1].byte_ns : slowest;
}

int dt2_auto_donors(struct dt2_input *input, struct dt2_error *err)
{
    const struct dt2_devices *devices = input->devices;
    size_t *sorted = dt2_alloc(devices->count, sizeof *sorted), count = 0;
    if (!sorted)
        return dt2_fail_nomem(err);
    bool host_compute = dt2_device_is_host(&devices->devices[input->compute]);
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        bool node = dt2_device_host_node(device) >= 0, host = dt2_device_is_host(device);
        if (i == input->compute || node || (host && host_compute))
            continue;
        size_t at = count++;
        for (; at > 0 && slowness(input, sorted[at - 1]) > slowness(input, i); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = i;
    }
    dt2_release(input->donors);
    input->donors = sorted;
    input->donor_count = count;
    return 0;
}

/* -- the beginning ------------------------------------------------------------------------------------------------ */

/* By how much the budgets of the compute device are short. */
static uint64_t compute_shortage(const struct dt2_input *input)
{
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    uint64_t most = 0;
    for (size_t i = 0; i < input->capacity.count; i++) {
        const struct dt2_room *room = &input->capacity.rooms[i];
        for (size_t j = 0; j < compute->budget_count; j++)
            if (strcmp(compute->budgets[j], input->devices->budgets[i].name) == 0 && room->available != DT2_UNKNOWN)
                most = dt2_max(most, dt2_sub_floor(room->charged, room->available));
    }
    return most;
}

int dt2_auto_begin(struct dt2_input *input, struct dt2_draft *draft, struct dt2_error *err)
{
    uint64_t virtual = dt2_request_has_virtual_vram(input->request) ? input->request->virtual_vram_bytes : 0;
    for (int i = 0;; i++) {
        struct dt2_warnings warnings = { 0 };
        int rc = dt2_draft_make(input, virtual, &input->capacity, &warnings, draft, err);
        dt2_warnings_clear(&warnings);
        uint64_t lacking = rc == 0 ? compute_shortage(input) : 0;
        if (rc < 0 || lacking == 0 || virtual >= input->model_bytes || i == BEGINNINGS_MOST)
            return rc;
        virtual = dt2_min(virtual + lacking, input->model_bytes);
        dt2_draft_clear(draft);
    }
}

/* -- looking at a placement ---------------------------------------------------------------------------------------- */

struct score {
    double stall, load;
    size_t runs;
};

struct search {
    struct dt2_input *input;
    struct dt2_draft *draft;
    size_t *movable; /* blocks */
    size_t count;
    uint64_t most; /* bytes on the compute device */
    size_t left;   /* looks that may still be taken */
    struct score best;
};

/* Below 0 when a is the less, above when b is; 0: the same for who waits. */
static int compare(double a, double b)
{
    double close = ENOUGH * (a > b ? a : b) + 1e-9;
    return a < b - close ? -1 : a > b + close;
}

static bool is_better(const struct score *a, const struct score *b)
{
    int stall = compare(a->stall, b->stall), load = compare(a->load, b->load);
    return stall < 0 || (stall == 0 && (load < 0 || (load == 0 && a->runs < b->runs)));
}

/* All but the stall. False: it does not fit. */
static bool look_at_load(struct search *search, struct score *score)
{
    struct dt2_draft *draft = search->draft;
    *score = (struct score){ 0 };
    search->left -= search->left > 0;
    dt2_draft_charge(draft, &search->input->capacity);
    if (!dt2_draft_fits(draft, &search->input->capacity) || draft->targets[0].bytes > search->most)
        return false;
    if (dt2_predict_load(draft, false, &score->load, NULL, NULL) < 0)
        return false;
    for (size_t i = 0; i < search->input->count; i++)
        score->runs += i == 0 || draft->owner[i - 1] != draft->owner[i];
    return true;
}

static bool look_at_pass(struct search *search, struct score *score)
{
    struct dt2_prediction prediction = { 0 };
    int rc = dt2_predict_pass(search->draft, &prediction, NULL);
    score->stall = prediction.stall_seconds;
    return rc == 0;
}

static bool look(struct search *search, struct score *score)
{
    return look_at_load(search, score) && look_at_pass(search, score);
}

static void put(struct search *search, size_t block, size_t target)
{
    dt2_draft_take_back(search->draft, block);
    dt2_draft_assign(search->draft, target, block);
}

/* Whether what was just changed is better; then it is the best. */
static bool accept(struct search *search)
{
    struct score score;
    if (!look_at_load(search, &score) || !is_better(&score, &search->best))
        return false; /* it would not be better if nothing stalled */
    if (!look_at_pass(search, &score) || !is_better(&score, &search->best))
        return false;
    search->best = score;
    return true;
}

/* -- downhill ------------------------------------------------------------------------------------------------------ */

static bool try_moves(struct search *search, size_t index)
{
    size_t block = search->movable[index], from = search->draft->owner[block];
    for (size_t to = 0; to < search->draft->target_count && search->left; to++) {
        if (to == from)
            continue;
        put(search, block, to);
        if (accept(search))
            return true;
        put(search, block, from);
    }
    return false;
}

static bool try_exchanges(struct search *search, size_t index)
{
    size_t *owner = search->draft->owner, a = search->movable[index], tried = 0;
    size_t most = search->count <= FEW ? FEW : EXCHANGES;
    for (size_t i = index + 1; i < search->count && tried < most && search->left; i++) {
        size_t b = search->movable[i], of_a = owner[a], of_b = owner[b];
        if (of_a == of_b)
            continue;
        tried++;
        put(search, a, of_b);
        put(search, b, of_a);
        if (accept(search))
            return true;
        put(search, a, of_a);
        put(search, b, of_b);
    }
    return false;
}

/* Round and round, until nothing is better or no look is left. */
static void go_downhill(struct search *search)
{
    bool better = search->best.stall > 0 || search->draft->target_count > 1;
    while (better && search->left) {
        better = false;
        for (size_t i = 0; i < search->count && search->left; i++) {
            better |= try_moves(search, i);
            better |= try_exchanges(search, i);
        }
    }
}

/* -- the other beginning -------------------------------------------------------------------------------------------- */

/* The same bytes on each memory, but those of the compute device evenly among the others. */
static void spread(struct search *search, const uint64_t *bytes)
{
    const struct dt2_block *blocks = search->input->blocks;
    struct dt2_draft *draft = search->draft;
    double all = 0, seen = 0, resident = 0;
    for (size_t i = 0; i < search->count; i++)
        all += (double)blocks[search->movable[i]].bytes;
    uint64_t fixed = draft->targets[0].bytes; /* of blocks that do not move */
    for (size_t i = 0; i < search->count; i++)
        fixed -= draft->owner[search->movable[i]] == 0 ? blocks[search->movable[i]].bytes : 0;
    double quota = (double)dt2_sub_floor(bytes[0], fixed);
    for (size_t i = 0; i < search->count; i++)
        dt2_draft_take_back(draft, search->movable[i]);
    for (size_t i = 0; i < search->count; i++) {
        size_t block = search->movable[i], to = 1;
        double size = (double)blocks[block].bytes;
        seen += size;
        if (resident + size <= quota && resident + size / 2 <= quota * seen / all)
            to = 0;
        while (to > 0 && to + 1 < draft->target_count &&
               draft->targets[to].bytes + blocks[block].bytes > bytes[to])
            to++;
        resident += to == 0 ? size : 0;
        dt2_draft_assign(draft, to, block);
    }
}

static void restore(struct search *search, const size_t *owner)
{
    for (size_t i = 0; i < search->count; i++)
        put(search, search->movable[i], owner[search->movable[i]]);
}

/* From what `draft` is now, and from what it is spread; the better end stays. */
static void search_both(struct search *search, size_t *kept, uint64_t *bytes, size_t looks)
{
    size_t size = search->input->count * sizeof *kept;
    size_t *owner = search->draft->owner;
    for (size_t i = 0; i < search->draft->target_count; i++)
        bytes[i] = search->draft->targets[i].bytes;
    struct score first = search->best, end;
    size_t *beginning = kept + search->input->count;
    memcpy(beginning, owner, size);
    search->left = looks;
    go_downhill(search);
    memcpy(kept, owner, size);
    end = search->best;
    restore(search, beginning);
    search->left = looks;
    search->best = first;
    spread(search, bytes);
    bool good = look(search, &search->best);
    if (good)
        go_downhill(search);
    if (!good || !is_better(&search->best, &end)) {
        restore(search, kept);
        search->best = end;
    }
}

/* -- what is left ---------------------------------------------------------------------------------------------------- */

/* The same each time: a plan is a function of what it is asked. */
static uint64_t next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* With what is left of the looks: a few blocks are thrown elsewhere, and downhill again; where it ends worse, back. */
static void wander(struct search *search, size_t *kept)
{
    const size_t size = search->input->count * sizeof *kept;
    uint64_t state = 1;
    for (size_t round = 0; search->left && search->best.stall > 0 && round < WANDERS; round++) {
        struct score before = search->best;
        memcpy(kept, search->draft->owner, size);
        for (int i = 0; i < THROWN; i++)
            put(search, search->movable[next_number(&state) % search->count],
                (size_t)(next_number(&state) % search->draft->target_count));
        if (look(search, &search->best))
            go_downhill(search);
        else
            search->best.stall = 1e300;
        if (!is_better(&search->best, &before)) {
            restore(search, kept);
            search->best = before;
        }
    }
}

/* -- all of them ------------------------------------------------------------------------------------------------------- */

/* Whether there are so few placements that each can be looked at. */
static bool are_few(const struct search *search)
{
    size_t placements = 1;
    for (size_t i = 0; i < search->count && placements <= ALL_MOST; i++)
        placements *= search->draft->target_count;
    return placements <= ALL_MOST;
}

/* Whether what is assigned so far is within the budgets, so that more may be. */
static bool fits_so_far(struct search *search)
{
    dt2_draft_charge(search->draft, &search->input->capacity);
    return dt2_capacity_short(&search->input->capacity) == search->input->capacity.count &&
           search->draft->targets[0].bytes <= search->most;
}

/* A block that lies nowhere counts as one that does not stream. */
static void take_away(struct search *search, size_t block)
{
    dt2_draft_take_back(search->draft, block);
    search->draft->owner[block] = 0;
}

/* From block `index` on, where those before lie; the best goes to `kept`. No deeper than ALL_MOST has binary digits. */
static void try_all(struct search *search, size_t index, size_t *kept)
{
    if (index == search->count) {
        if (accept(search))
            memcpy(kept, search->draft->owner, search->input->count * sizeof *kept);
        return;
    }
    for (size_t to = 0; to < search->draft->target_count; to++) {
        dt2_draft_assign(search->draft, to, search->movable[index]);
        if (fits_so_far(search))
            try_all(search, index + 1, kept);
        take_away(search, search->movable[index]);
    }
}

/* Beginning with the best so far, which most others are not better than. */
static void look_at_all(struct search *search, size_t *kept)
{
    memcpy(kept, search->draft->owner, search->input->count * sizeof *kept);
    for (size_t i = 0; i < search->count; i++)
        take_away(search, search->movable[i]);
    try_all(search, 0, kept);
    for (size_t i = 0; i < search->count; i++)
        dt2_draft_assign(search->draft, kept[search->movable[i]], search->movable[i]);
}

/* -- where no runs fit -------------------------------------------------------------------------------------------------- */

/* Bytes above the budgets, and above what may lie on the compute device. */
static uint64_t lacking(struct search *search)
{
    const struct dt2_capacity *capacity = &search->input->capacity;
    dt2_draft_charge(search->draft, &search->input->capacity);
    uint64_t bytes = dt2_sub_floor(search->draft->targets[0].bytes, search->most);
    for (size_t i = 0; i < capacity->count; i++)
        if (capacity->rooms[i].available != DT2_UNKNOWN)
            bytes += dt2_sub_floor(capacity->rooms[i].charged, capacity->rooms[i].available);
    return bytes;
}

/* Whether less is lacking where block a lies on `to`, and b, if there is one, where a lay; else all is as before. */
static bool helps(struct search *search, size_t a, size_t to, size_t b, uint64_t *least)
{
    size_t from = search->draft->owner[a];
    put(search, a, to);
    if (b != DT2_NONE)
        put(search, b, from);
    uint64_t now = lacking(search);
    if (now < *least) {
        *least = now;
        return true;
    }
    put(search, a, from);
    if (b != DT2_NONE)
        put(search, b, to);
    return false;
}

/* Moves and exchanges as long as they help. False: it does not fit so either. */
static bool settle(struct search *search)
{
    size_t *owner = search->draft->owner;
    uint64_t least = lacking(search);
    for (bool better = true; better && least > 0;) {
        better = false;
        for (size_t i = 0; i < search->count && least > 0; i++) {
            size_t a = search->movable[i];
            for (size_t to = 0; to < search->draft->target_count; to++)
                better |= to != owner[a] && helps(search, a, to, DT2_NONE, &least);
            for (size_t j = i + 1; j < search->count; j++)
                better |= owner[search->movable[j]] != owner[a] && helps(search, a, owner[search->movable[j]], search->movable[j], &least);
        }
    }
    return least == 0;
}

/* A beginning that fits, as it is or settled; else it is again what it was. */
static bool begin_somewhere(struct search *search, size_t *kept)
{
    if (look(search, &search->best))
        return true;
    memcpy(kept, search->draft->owner, search->input->count * sizeof *kept);
    if (search->count <= SETTLED_MOST && settle(search) && look(search, &search->best))
        return true;
    restore(search, kept);
    return false;
}

static size_t list_movable(struct search *search)
{
    const struct dt2_input *input = search->input;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_placed(input, i) == DT2_NONE && !dt2_block_is_small(&input->blocks[i], input->model_bytes))
            search->movable[search->count++] = i;
    return search->count;
}

int dt2_auto_improve(struct dt2_input *input, struct dt2_draft *draft, struct dt2_error *err)
{
    size_t looks = (input->count <= FEW ? EVALUATIONS : EVALUATIONS_MANY) / (input->count + 1);
    looks = looks < EVALUATIONS_LEAST ? EVALUATIONS_LEAST : looks > EVALUATIONS_MOST ? EVALUATIONS_MOST : looks;
    DT2_AUTO size_t *movable = dt2_alloc(input->count, sizeof *movable);
    DT2_AUTO size_t *kept = dt2_alloc(2 * input->count, sizeof *kept);
    DT2_AUTO uint64_t *bytes = dt2_alloc(draft->target_count, sizeof *bytes);
    if (!movable || !kept || !bytes)
        return dt2_fail_nomem(err);
    struct search search = { .input = input, .draft = draft, .movable = movable, .left = looks, .most = UINT64_MAX };
    if (dt2_request_has_virtual_vram(input->request))
        search.most = dt2_max(draft->claims[0].quota, draft->targets[0].bytes);
    if (list_movable(&search) > 0 && draft->target_count > 1) {
        bool begun = begin_somewhere(&search, kept);
        if (begun)
            search_both(&search, kept, bytes, looks / 3);
        else
            search.best = (struct score){ 1e300, 1e300, SIZE_MAX };
        if (are_few(&search)) {
            look_at_all(&search, kept);
        } else if (begun) {
            search.left = looks / 3;
            wander(&search, kept);
        }
    }
    dt2_draft_charge(draft, &input->capacity);
    return 0;
}
