{
  # starts the kernel with iomem=relaxed
  services.piboxPwmFan.enable = true;
}
