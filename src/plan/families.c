/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/families.h"
#include "base/checked.h"

/* -- the parts of each network, as the classes name them whose files these are ----------------------------------- */

#define PARTS(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }

PARTS(cldm_parts, "time_embed", "label_emb", "input_hint_block", "input_cond_block", "input_blocks", "zero_convs",
      "middle_block", "middle_block_out", "control_add_embedding", "task_embedding", "transformer_layes",
      "spatial_ch_projs");
/* Those of union models, of SparseCtrl and of ControlNet-XS too, which begin the same way. */
PARTS(diffusers_parts, "conv_in", "time_embedding", "class_embedding", "add_embedding", "encoder_hid_proj",
      "controlnet_cond_embedding", "down_blocks", "controlnet_down_blocks", "mid_block", "controlnet_mid_block",
      "control_add_embedding", "task_embedding", "transformer_layes", "spatial_ch_projs",
      "control_to_base_for_conv_in", "up_connections");
PARTS(flux_parts, "img_in", "time_in", "vector_in", "guidance_in", "txt_in", "input_hint_block", "pos_embed_input",
      "double_blocks", "single_blocks", "time_text_embed", "context_embedder", "x_embedder", "controlnet_x_embedder",
      "controlnet_mode_embedder", "transformer_blocks", "single_transformer_blocks", "controlnet_blocks",
      "controlnet_single_blocks", "single_controlnet_blocks");
PARTS(sd3_parts, "x_embedder", "pos_embed", "pos_embed_input", "t_embedder", "y_embedder", "orig_y_embedder",
      "time_text_embed", "context_embedder", "context_processor", "register", "joint_blocks", "transformer_blocks",
      "controlnet_blocks");
PARTS(qwen_parts, "time_text_embed", "txt_norm", "txt_in", "img_in", "controlnet_x_embedder", "transformer_blocks",
      "controlnet_blocks");
PARTS(qwen_fun_parts, "control_img_in", "control_blocks");
PARTS(hunyuandit_parts, "text_embedding_padding", "mlp_t5", "pooler", "style_embedder", "x_embedder", "t_embedder",
      "extra_embedder", "before_proj", "blocks", "after_proj_list");
/* As diffusers has it. */
PARTS(hunyuandit_diffusers_parts, "text_embedder", "text_embedding_padding", "pos_embed", "time_extra_emb", "input_block",
      "blocks", "controlnet_blocks");
PARTS(sana_parts, "patch_embed", "time_embed", "caption_projection", "caption_norm", "input_block", "transformer_blocks",
      "controlnet_blocks");
PARTS(z_image_parts, "control_all_x_embedder", "control_noise_refiner", "control_layers");
PARTS(flux2_fun_parts, "control_img_in", "control_transformer_blocks");
PARTS(blockwise_parts, "img_in", "controlnet_blocks");
/* Cosmos, as diffusers has it. */
PARTS(cosmos_parts, "patch_embed", "patch_embed_base", "time_embed", "learnable_pos_embed", "img_context_proj", "crossattn_proj",
      "control_blocks");
/* Uni3C. */
PARTS(uni3c_parts, "controlnet_patch_embedding", "controlnet_mask_embedding", "proj_in", "controlnet_blocks", "proj_out");
PARTS(wan_parts, "control_encoder", "patch_embedding", "rope", "condition_embedder", "time_embedding", "time_projection",
      "text_embedding", "img_emb", "blocks", "controlnet_blocks");
PARTS(style_parts, "style_embedding", "transformer_layes", "ln_post", "ln_pre", "proj");
PARTS(cascade_parts, "backbone", "projections");
PARTS(adapter_parts, "conv_in", "body");

/* -- the rules --------------------------------------------------------------------------------------------------- */

const struct dt2_rule dt2_rules[] = {
    { { "after_proj_list.18.bias" },
      .variant = "native", .family = "hunyuandit", .ordering = DT2_ORDER_NAMES, .reads = hunyuandit_parts },
    /* Its loader sets whatever the file holds. */
    { { "lora_controlnet" },
      .variant = "control-lora", .family = DT2_BY_WIDTH, .hint = "input_hint_block.0.weight", .needs_base = true,
      .ordering = DT2_ORDER_NAMES },
    { { "controlnet_cond_embedding.conv_in.weight", "control_add_embedding.linear_1.bias" },
      .variant = "diffusers-union", .family = DT2_BY_WIDTH, .hint = "controlnet_cond_embedding.conv_in.weight",
      .types = "task_embedding", .ordering = DT2_ORDER_DIFFUSERS, .reads = diffusers_parts },
    { { "controlnet_cond_embedding.conv_in.weight", "down_blocks.0.motion_modules.0.proj_in.weight" },
      .variant = "sparsectrl", .family = DT2_BY_WIDTH, .hint = "controlnet_cond_embedding.conv_in.weight",
      .ordering = DT2_ORDER_DIFFUSERS, .reads = diffusers_parts },
    { { "controlnet_cond_embedding.weight", "down_blocks.0.motion_modules.0.proj_in.weight" }, /* of latents */
      .variant = "sparsectrl", .family = DT2_BY_WIDTH, .hint = "controlnet_cond_embedding.weight",
      .ordering = DT2_ORDER_DIFFUSERS, .reads = diffusers_parts },
    { { "controlnet_cond_embedding.conv_in.weight" },
      .variant = "diffusers", .family = DT2_BY_WIDTH, .hint = "controlnet_cond_embedding.conv_in.weight",
      .ordering = DT2_ORDER_DIFFUSERS, .reads = diffusers_parts },
    { { "controlnet_blocks.0.weight", "double_blocks.0.img_attn.norm.key_norm.scale" },
      .variant = "xlabs", .family = "flux", .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES,
      .reads = flux_parts },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias" },
      .variant = "native", .family = "sd35", .hint = "pos_embed_input.proj.weight", .ordering = DT2_ORDER_NAMES,
      .reads = sd3_parts },
    /* As diffusers has those of SD3.5: its attention has norms, or it embeds no places of its own. */
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.attn.norm_q.weight" },
      .variant = "native", .family = "sd35", .hint = "pos_embed_input.proj.weight", .inpaint = 17,
      .ordering = DT2_ORDER_NAMES, .reads = sd3_parts },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.norm1.linear.weight" },
      .absent = "pos_embed.proj.weight", .variant = "native", .family = "sd35", .hint = "pos_embed_input.proj.weight",
      .inpaint = 17, .ordering = DT2_ORDER_NAMES, .reads = sd3_parts },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight" },
      .variant = "native", .family = "sd3", .hint = "pos_embed_input.proj.weight", .inpaint = 17,
      .ordering = DT2_ORDER_NAMES, .reads = sd3_parts },
    { { "controlnet_blocks.0.weight", "transformer_blocks.0.img_mlp.net.0.proj.weight" },
      .variant = "instantx", .family = "qwen-image", .hint = "controlnet_x_embedder.weight", .inpaint = 68,
      .ordering = DT2_ORDER_NAMES, .reads = qwen_parts },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight", "controlnet_mode_embedder.weight" },
      .variant = "instantx-union", .family = "flux", .hint = "controlnet_x_embedder.weight", .inpaint = 68,
      .types = "controlnet_mode_embedder.weight", .ordering = DT2_ORDER_NAMES, .reads = flux_parts },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight" },
      .variant = "instantx", .family = "flux", .hint = "controlnet_x_embedder.weight", .inpaint = 68,
      .ordering = DT2_ORDER_NAMES, .reads = flux_parts },
    { { "controlnet_blocks.0.y_rms.weight" },
      .variant = "blockwise", .family = "qwen-image", .hint = "img_in.weight", .inpaint = 68,
      .ordering = DT2_ORDER_NAMES, .reads = blockwise_parts },
    { { "controlnet_blocks.0.weight", "time_extra_emb.pooler.k_proj.weight" },
      .variant = "diffusers", .family = "hunyuandit", .ordering = DT2_ORDER_PLAIN,
      .reads = hunyuandit_diffusers_parts },
    { { "controlnet_blocks.0.weight", "input_block.weight", "caption_projection.linear_1.weight" },
      .variant = "diffusers", .family = "sana", .ordering = DT2_ORDER_PLAIN, .reads = sana_parts },
    { { "control_all_x_embedder.2-1.weight", "control_noise_refiner.0.after_proj.weight" },
      .variant = "fun-union", .family = "z-image", .hint = "control_all_x_embedder.2-1.weight",
      .ordering = DT2_ORDER_NAMES, .reads = z_image_parts },
    { { "control_all_x_embedder.2-1.weight" },
      .variant = "fun", .family = "z-image", .hint = "control_all_x_embedder.2-1.weight", .ordering = DT2_ORDER_NAMES,
      .reads = z_image_parts },
    { { "control_img_in.weight", "control_transformer_blocks.0.after_proj.weight" },
      .variant = "fun", .family = "flux2", .hint = "control_img_in.weight", .ordering = DT2_ORDER_NAMES,
      .reads = flux2_fun_parts },
    /* These are whole models, of which control is a part: their loaders read all. */
    { { "vace_blocks.0.after_proj.weight", "vace_patch_embedding.weight" },
      .variant = "vace", .family = "wan", .hint = "vace_patch_embedding.weight", .ordering = DT2_ORDER_PLAIN },
    { { "vace_blocks.0.proj_out.weight", "vace_patch_embedding.weight" }, /* diffusers' spelling */
      .variant = "vace", .family = "wan", .hint = "vace_patch_embedding.weight", .ordering = DT2_ORDER_PLAIN },
    { { "ref_conv.weight", "patch_embedding.weight", "blocks.0.self_attn.q.weight" },
      .variant = "fun-control", .family = "wan", .hint = "patch_embedding.weight", .ordering = DT2_ORDER_PLAIN },
    { { "control_adapter.conv.weight", "patch_embedding.weight", "blocks.0.self_attn.q.weight" },
      .variant = "fun-control", .family = "wan", .hint = "patch_embedding.weight", .ordering = DT2_ORDER_PLAIN },
    { { "controlnet_blocks.0.weight", "control_encoder.0.0.weight" },
      .variant = "native", .family = "wan", .hint = "control_encoder.0.0.weight", .ordering = DT2_ORDER_PLAIN,
      .reads = wan_parts },
    { { "controlnet_patch_embedding.weight", "controlnet_blocks.0.ffn.0.bias" },
      .variant = "uni3c", .family = "wan", .hint = "controlnet_patch_embedding.weight", .ordering = DT2_ORDER_PLAIN,
      .reads = uni3c_parts },
    { { "control_blocks.0.after_proj.weight", "patch_embed_base.proj.weight" },
      .variant = "diffusers", .family = "cosmos", .hint = "patch_embed.proj.weight", .ordering = DT2_ORDER_PLAIN,
      .reads = cosmos_parts },
    { { "lllite_unet*" },
      .variant = "control-lllite", .family = "sdxl", .ordering = DT2_ORDER_LLLITE },
    { { "lllite_dit*" }, .variant = "control-lllite", .family = "anima", .ordering = DT2_ORDER_LLLITE },
    { { "style_embedding", "transformer_layes.0.attn.in_proj_weight" },
      .variant = "t2i-adapter-style", .family = "sd1", .ordering = DT2_ORDER_NAMES, .reads = style_parts },
    { { "control_blocks.0.after_proj.weight", "control_img_in.weight" },
      .variant = "fun", .family = "qwen-image", .hint = "control_img_in.weight", .ordering = DT2_ORDER_NAMES,
      .reads = qwen_fun_parts },
    { { "controlnet_blocks.0.linear.weight" },
      .variant = "mistoline", .family = "flux", .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES,
      .reads = flux_parts },
    { { "control_model.zero_convs.0.0.weight" },
      .variant = "cldm", .family = DT2_BY_WIDTH, .under = "control_model.",
      .hint = "control_model.input_hint_block.0.weight", .differences = "difference", .ordering = DT2_ORDER_NAMES,
      .reads = cldm_parts },
    { { "zero_convs.0.0.weight" },
      .variant = "cldm", .family = DT2_BY_WIDTH, .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES,
      .reads = cldm_parts },
    { { "body.0.in_conv.weight" },
      .variant = "t2i-adapter-light", .family = DT2_BY_HINT, .hint = "body.0.in_conv.weight",
      .ordering = DT2_ORDER_NAMES, .reads = adapter_parts },
    /* UNets in diffusers' spelling begin so too, and end otherwise. */
    { { "conv_in.weight" },
      .absent = "conv_norm_out.weight", .variant = "t2i-adapter-full", .family = DT2_BY_HINT, .hint = "conv_in.weight",
      .ordering = DT2_ORDER_NAMES, .reads = adapter_parts },
    { { "adapter.*" },
      .variant = "t2i-adapter-diffusers", .family = DT2_BY_HINT, .under = "adapter.",
      .hint = "adapter.conv_in.weight", .ordering = DT2_ORDER_NAMES, .reads = adapter_parts },
    { { "backbone.0.0.weight" },
      .variant = "native", .family = "stable-cascade", .hint = "backbone.0.0.weight", .ordering = DT2_ORDER_NAMES,
      .reads = cascade_parts },
    { { "backbone.10.blocks.0.weight" },
      .variant = "native", .family = "stable-cascade", .ordering = DT2_ORDER_NAMES, .reads = cascade_parts },
};
const size_t dt2_rule_count = DT2_COUNT(dt2_rules);
