/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where to cut the model into runs, one for each device in a given order, so that all fit and the fewest bytes move.
 *
 * Let least(i, j) be the fewest bytes that move when the first i devices hold the first j blocks. Device i holds a run [a, j) if
 * its room holds what that costs; the smallest such a only grows with j. So least(i, j) is the minimum of least(i - 1, a) plus
 * what moves in [a, j) over a window that slides, which a queue keeps: O(devices x blocks). The window for streaming takes
 * room on the compute device, and is as large as twice the largest block elsewhere: that is tried for each size W of a block.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "plan/fit.h"
#include <stdlib.h>
#include <string.h>

#define UNREACHED INT64_MAX
#define WORK_MAX ((uint64_t)40000000) /* blocks looked at in all; beyond it fewer sizes of windows are tried */
#define SHARED_TRIES 12

struct cutter {
    const struct dt2_draft *draft;
    const size_t *devices;
    size_t count;
    size_t *sequence;
    size_t length;
    size_t *was;       /* of each of the sequence: the device of its claim in the draft */
    uint64_t *room;    /* of each device: for its run, the window aside */
    uint64_t *windows; /* of each of the sequence: its cost on the compute device; sorted, each once: the sizes to try */
    size_t window_count;
    uint64_t least_window; /* of blocks that are placed by name */
    uint64_t beside;       /* what the compute device has for the window, where it gets no run */
    int64_t *before, *after; /* least() of a device, and of the next */
    uint32_t *from;          /* of each device and j: where its run begins */
    size_t *queue;
    size_t *ends; /* the best so far */
    int64_t moved;
};

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The device of the claim that a block's target belongs to: "cpu" also where a node holds it. */
static size_t claimed_by(const struct dt2_draft *draft, size_t block)
{
    for (size_t i = 0; i < draft->claim_count; i++) {
        const struct dt2_claim *claim = &draft->claims[i];
        if (draft->owner[block] >= claim->first_target && draft->owner[block] < claim->first_target + claim->target_count)
            return claim->device;
    }
    return DT2_NONE;
}

/* -- rooms ------------------------------------------------------------------------------------------------------------ */

/* What a device's budgets hold for a run: what blocks placed by name take is charged. "cpu" holds no more than its nodes. */
static uint64_t room_for_run(const struct cutter *c, const struct dt2_capacity *capacity, size_t device)
{
    const struct dt2_input *input = c->draft->input;
    const struct dt2_device *d = &input->devices->devices[device];
    uint64_t room = dt2_capacity_left(capacity, device), nodes = 0;
    bool several = false;
    for (size_t i = 0; dt2_device_is_host(d) && dt2_device_host_node(d) < 0 && i < input->devices->count; i++)
        if (dt2_device_host_node(&input->devices->devices[i]) >= 0) {
            uint64_t left = dt2_capacity_left(capacity, i);
            several = true;
            nodes = dt2_add_overflows(nodes, left, &nodes) ? UINT64_MAX : nodes;
        }
    if (several)
        room = dt2_min(room, nodes);
    uint64_t once = d->fixed_bytes + dt2_sub_floor(input->request->alignment_bytes, d->alignment_bytes);
    return room == DT2_UNKNOWN ? room : dt2_sub_floor(room, once);
}

static void make_rooms(struct cutter *c)
{
    const struct dt2_input *input = c->draft->input;
    struct dt2_capacity capacity = input->capacity;
    DT2_AUTO struct dt2_room *rooms = dt2_alloc(capacity.count, sizeof *rooms);
    if (!rooms)
        return; /* no room, no runs */
    memcpy(rooms, capacity.rooms, capacity.count * sizeof *rooms);
    capacity.rooms = rooms;
    dt2_capacity_reset(&capacity);
    for (size_t i = 0; i < input->count; i++) {
        size_t device = dt2_placed(input, i);
        if (device == DT2_NONE)
            continue;
        dt2_capacity_charge(&capacity, device, dt2_block_cost(input, i, device));
        if (dt2_streams(input, device))
            c->least_window = dt2_max(c->least_window, dt2_block_cost(input, i, input->compute));
    }
    c->beside = room_for_run(c, &capacity, input->compute);
    for (size_t i = 0; i < c->count; i++) {
        c->room[i] = room_for_run(c, &capacity, c->devices[i]);
        if (c->devices[i] == input->compute)
            c->beside = DT2_UNKNOWN;
    }
}

/* What device i has with a window of that size; false: the compute device does not hold even the window. */
static bool room_beside(const struct cutter *c, size_t i, uint64_t window, uint64_t *room)
{
    uint64_t twice;
    *room = c->room[i];
    if (c->devices[i] != c->draft->input->compute || *room == DT2_UNKNOWN || c->draft->input->request->resident)
        return true;
    if (dt2_mul_overflows(window, 2, &twice) || twice > *room)
        return false;
    *room -= twice;
    return true;
}

/* -- least ------------------------------------------------------------------------------------------------------------ */

/* One row: device i's least() from the one before it. */
static void row(struct cutter *c, size_t i, uint64_t room, uint64_t window)
{
    const struct dt2_input *input = c->draft->input;
    const struct dt2_device *device = &input->devices->devices[c->devices[i]];
    bool streams = !input->request->resident && dt2_streams(input, c->devices[i]);
    size_t low = 0, head = 0, tail = 0; /* of the window; of the queue */
    uint64_t cost = 0, bytes;
    int64_t moved = 0; /* in [0, j) if all lay here; before[a] is lowered by that in [0, a) when it enters the queue */
    for (size_t j = 0; j <= c->length; j++) {
        if (j > 0) {
            size_t block = c->sequence[j - 1];
            uint64_t its = dt2_block_cost(input, block, c->devices[i]);
            bool barred = its > room || dt2_block_is_too_large(&input->blocks[block], device, &bytes) ||
                          (streams && dt2_block_cost(input, block, input->compute) > window);
            cost = barred ? 0 : cost + its;
            low = barred ? j : low;
            for (; cost > room; low++)
                cost -= dt2_block_cost(input, c->sequence[low], c->devices[i]);
            moved += c->was[j - 1] != c->devices[i] ? (int64_t)input->blocks[block].bytes : 0;
        }
        if (c->before[j] != UNREACHED) {
            c->before[j] -= moved;
            while (tail > head && c->before[c->queue[tail - 1]] >= c->before[j])
                tail--;
            c->queue[tail++] = j;
        }
        while (head < tail && c->queue[head] < low)
            head++;
        c->after[j] = head < tail ? c->before[c->queue[head]] + moved : UNREACHED;
        c->from[i * (c->length + 1) + j] = (uint32_t)(head < tail ? c->queue[head] : 0);
    }
}

/* The best runs with windows for blocks of up to that size; kept when they are better than those before. */
static void try_window(struct cutter *c, uint64_t window)
{
    if (!c->draft->input->request->resident && window > c->beside / 2)
        return;
    for (size_t j = 0; j <= c->length; j++)
        c->before[j] = j == 0 ? 0 : UNREACHED;
    for (size_t i = 0; i < c->count; i++) {
        uint64_t room;
        if (!room_beside(c, i, window, &room))
            return;
        row(c, i, room, window);
        int64_t *last = c->before;
        c->before = c->after;
        c->after = last;
    }
    if (c->before[c->length] >= c->moved)
        return;
    c->moved = c->before[c->length];
    for (size_t i = c->count, j = c->length; i-- > 0; j = c->from[i * (c->length + 1) + j])
        c->ends[i] = j;
}

static void try_windows(struct cutter *c)
{
    uint64_t work = (uint64_t)c->length * c->count + 1;
    size_t tries = (size_t)dt2_max(2, WORK_MAX / work), stride = c->window_count / tries + 1;
    c->moved = UNREACHED;
    if (c->least_window == 0)
        try_window(c, 0);
    if (c->draft->input->request->resident)
        return;
    for (size_t i = c->window_count; i-- > 0;)
        if (c->windows[i] >= c->least_window && (c->window_count - 1 - i) % stride == 0)
            try_window(c, c->windows[i]);
}

/* -- budgets that several have -------------------------------------------------------------------------------------------- */

static bool draws_on(const struct dt2_device *device, const char *budget)
{
    for (size_t i = 0; i < device->budget_count; i++)
        if (strcmp(device->budgets[i], budget) == 0)
            return true;
    return false;
}

/* What the best runs charge; takes what is short from the room of the last device that draws on it. False: nothing is short. */
static bool shrink(struct cutter *c)
{
    const struct dt2_input *input = c->draft->input;
    struct dt2_capacity capacity = input->capacity;
    uint64_t window = c->least_window;
    DT2_AUTO struct dt2_room *rooms = dt2_alloc(capacity.count, sizeof *rooms);
    DT2_AUTO uint64_t *costs = dt2_alloc(c->count, sizeof *costs);
    if (!rooms || !costs)
        return false;
    memcpy(rooms, capacity.rooms, capacity.count * sizeof *rooms);
    capacity.rooms = rooms;
    dt2_capacity_reset(&capacity);
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = i ? c->ends[i - 1] : 0; j < c->ends[i]; j++) {
            costs[i] += dt2_block_cost(input, c->sequence[j], c->devices[i]);
            if (dt2_streams(input, c->devices[i]))
                window = dt2_max(window, dt2_block_cost(input, c->sequence[j], input->compute));
        }
    for (size_t i = 0; i < c->count; i++) {
        uint64_t room = c->devices[i] == input->compute && !input->request->resident ? 2 * window : 0;
        uint64_t fixed = costs[i] + room ? input->devices->devices[c->devices[i]].fixed_bytes : 0;
        dt2_capacity_charge(&capacity, c->devices[i], costs[i] + room + fixed);
    }
    size_t index = dt2_capacity_short(&capacity);
    for (size_t i = c->count; index < capacity.count && i-- > 0;)
        if (costs[i] > 0 &&
            draws_on(&input->devices->devices[c->devices[i]], input->devices->budgets[index].name)) {
            c->room[i] = dt2_sub_floor(costs[i], rooms[index].charged - rooms[index].available);
            return true;
        }
    return false;
}

/* -- all of it ------------------------------------------------------------------------------------------------------------ */

static bool make(struct cutter *c)
{
    const struct dt2_input *input = c->draft->input;
    size_t row_length = input->count + 1;
    c->sequence = dt2_alloc(row_length, sizeof *c->sequence);
    c->was = dt2_alloc(row_length, sizeof *c->was);
    c->room = dt2_alloc(c->count, sizeof *c->room);
    c->windows = dt2_alloc(row_length, sizeof *c->windows);
    c->before = dt2_alloc(row_length, sizeof *c->before);
    c->after = dt2_alloc(row_length, sizeof *c->after);
    c->queue = dt2_alloc(row_length, sizeof *c->queue);
    c->ends = dt2_alloc(c->count, sizeof *c->ends);
    c->from = input->count < UINT32_MAX / (c->count + 1) ? dt2_alloc(c->count * row_length, sizeof *c->from) : NULL;
    if (!c->sequence || !c->was || !c->room || !c->windows || !c->before || !c->after || !c->queue || !c->ends || !c->from)
        return false;
    for (size_t i = 0; i < input->count; i++) {
        if (dt2_placed(input, i) != DT2_NONE)
            continue;
        c->was[c->length] = claimed_by(c->draft, i);
        c->windows[c->length] = dt2_block_cost(input, i, input->compute);
        c->sequence[c->length++] = i;
    }
    qsort(c->windows, c->length, sizeof *c->windows, ascending);
    for (size_t i = 0; i < c->length; i++)
        if (i == 0 || c->windows[i] != c->windows[c->window_count - 1])
            c->windows[c->window_count++] = c->windows[i];
    make_rooms(c);
    return true;
}

static void clear(struct cutter *c)
{
    dt2_release(c->was);
    dt2_release(c->room);
    dt2_release(c->windows);
    dt2_release(c->before);
    dt2_release(c->after);
    dt2_release(c->queue);
    dt2_release(c->from);
    dt2_release(c->sequence);
    dt2_release(c->ends);
}

bool dt2_cuts_find(const struct dt2_draft *draft, const size_t *devices, size_t count, struct dt2_cuts *cuts)
{
    struct cutter c = { .draft = draft, .devices = devices, .count = count };
    bool found = count > 0 && make(&c);
    for (int i = 0; found; i++) {
        try_windows(&c);
        found = c.moved != UNREACHED && i < SHARED_TRIES;
        if (found && !shrink(&c))
            break;
    }
    size_t *list = found ? dt2_alloc(count, sizeof *list) : NULL;
    if (list) {
        memcpy(list, devices, count * sizeof *list);
        *cuts = (struct dt2_cuts){ DT2_TAKE(c.sequence), c.length, list, DT2_TAKE(c.ends), count, (uint64_t)c.moved };
    }
    clear(&c);
    return list != NULL;
}

void dt2_cuts_clear(struct dt2_cuts *cuts)
{
    dt2_release(cuts->sequence);
    dt2_release(cuts->devices);
    dt2_release(cuts->ends);
}
